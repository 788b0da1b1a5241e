/**
 * The errors of the library. A message is one line that says what is wrong, where, and what was received;
 * `hint`, when known, is one line that says how to fix it. Subclasses exist where a caller decides differently:
 * a {@link FormatError} is permanent for that file, a {@link ResourceError} may pass on another machine.
 */

/** Machine-readable reason of a {@link LatheError}. Codes are only ever added. */
export type ErrorCode =
  | 'ERR_OPTION'
  | 'ERR_UNKNOWN_NAME'
  | 'ERR_OUTPUT_EXISTS'
  | 'ERR_OUTPUT_IS_INPUT'
  | 'ERR_NO_MODEL'
  | 'ERR_SEVERAL_MODELS'
  | 'ERR_NOT_FOUND'
  | 'ERR_PROTOBUF'
  | 'ERR_TRUNCATED'
  | 'ERR_LIMIT'
  | 'ERR_MODEL'
  | 'ERR_TENSOR'
  | 'ERR_DTYPE'
  | 'ERR_EXTERNAL_DATA'
  | 'ERR_EXTERNAL_BOUNDS'
  | 'ERR_PATH_ESCAPE'
  | 'ERR_NON_FINITE'
  | 'ERR_PRECONDITION'
  | 'ERR_UNSUPPORTED'
  | 'ERR_NO_SPACE'
  | 'ERR_MEMORY_BUDGET'
  | 'ERR_IO'
  | 'ERR_PERMISSION'
  | 'ERR_CHANGED'
  | 'ERR_CANCELLED'
  | 'ERR_PEER_MISSING';

/** Facts behind a message, for programs: names, numbers, paths. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

interface ErrorExtras {
  readonly hint?: string;
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/** Base class of every error this library throws on purpose. */
export class LatheError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = extras.hint;
    this.details = extras.details ?? {};
  }
}

/** The caller's arguments are wrong (exit 2). */
export class UsageError extends LatheError {}

/** The file is wrong; trying again is pointless (exit 3). */
export class FormatError extends LatheError {}

/** This work does not fit this model (exit 4). */
export class PreconditionError extends LatheError {}

/** Disk, memory, permissions or the operating system stood in the way (exit 5). */
export class ResourceError extends LatheError {}

/** The run was interrupted by its caller; nothing was committed (exit 130 or 143). */
export class CancelledError extends LatheError {
  constructor(reason = 'interrupted') {
    super('ERR_CANCELLED', `${reason}; nothing was written`);
  }
}

const RESOURCE_MESSAGES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ['ERR_NO_SPACE', 'no space left on the device'],
  EDQUOT: ['ERR_NO_SPACE', 'disk quota exceeded'],
  EFBIG: ['ERR_NO_SPACE', 'file too large for this file system or limit'],
  EACCES: ['ERR_PERMISSION', 'permission denied'],
  EPERM: ['ERR_PERMISSION', 'operation not permitted'],
  EROFS: ['ERR_PERMISSION', 'read-only file system'],
  EMFILE: ['ERR_IO', 'too many open files'],
  ENOMEM: ['ERR_MEMORY_BUDGET', 'out of memory'],
  ENOENT: ['ERR_IO', 'no such file or directory'],
  ENOTDIR: ['ERR_IO', 'not a directory'],
  EIO: ['ERR_IO', 'input/output error'],
};

/** True when `error` carries an operating-system error code such as `ENOENT`. */
export function hasErrno(error: unknown, ...codes: string[]): error is Error & { code: string } {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^E[A-Z0-9]+$/.test(error.code) &&
    (codes.length === 0 || codes.includes(error.code))
  );
}

/**
 * Words an operating-system error as a {@link ResourceError}; anything else comes back unchanged.
 * @param doing what was attempted and on what, for example `writing out/model.onnx.data`
 */
export function fromSystemError(error: unknown, doing: string): unknown {
  if (error instanceof LatheError || !hasErrno(error)) return error;
  const [code, text] = RESOURCE_MESSAGES[error.code] ?? ['ERR_IO', error.code];
  return new ResourceError(code as ErrorCode, `${doing}: ${text}`, {
    details: { errno: error.code },
    cause: error,
  });
}
