/**
 * Where onnx-lathe and ONNX Runtime decide differently about a file, on purpose. docs/external-data.md has the same
 * list; a test compares the two.
 */

export interface Difference {
  /** The row of the document: what is in the file, what happens here and there, and why. */
  readonly what: string;
  readonly lathe: string;
  readonly runtime: string;
  readonly why: string;
}

export const differences = {
  unknownKeys: {
    what: 'keys ONNX Runtime does not know, such as `basepath`',
    lathe: 'read, with a warning',
    runtime: 'refused',
    why: "Python's onnx leaves `basepath` behind. Nothing reads such keys; the output does not have them.",
  },
  noElements: {
    what: 'tensors without elements, at the end of the file or in an empty file',
    lathe: 'read',
    runtime: 'refused; with an empty file the process aborts',
    why: 'No byte is missing. The output keeps such tensors in the `.onnx`.',
  },
  shapes: {
    what: 'the shape that a Reshape reads, and the like',
    lathe: 'read',
    runtime: 'refused',
    why: 'The output keeps small integer tensors in the `.onnx`, where shape inference finds them.',
  },
  newTypes: {
    what: 'element types newer than the reader, with a `length`',
    lathe: 'read',
    runtime: 'refused',
    why: 'Bytes that are only copied need no type.',
  },
  linksInBranches: {
    what: 'links and hard links as data of an If, a Loop or a Scan, a Hugging Face cache included',
    lathe: 'read',
    runtime: 'refused',
    why: 'ONNX Runtime reads the same files for the main graph. The output has no links.',
  },
  unusedReferences: {
    what: 'a reference that no node reads, to a missing file or to one elsewhere',
    lathe: 'refused',
    runtime: 'not looked at',
    why: 'Every reference is checked; a copy of the model would have one to nothing.',
  },
  outAndBack: {
    what: 'a location that leaves the directory and returns: `../m/w.data`',
    lathe: 'refused',
    runtime: 'read',
    why: 'It breaks as soon as the directory has another name.',
  },
  windowsNames: {
    what: 'backslashes, drive letters, Windows devices: `a\\w.data`, `C:/w.data`, `nul.data`',
    lathe: 'refused',
    runtime: 'read as plain names on Linux',
    why: 'On Windows they are other files, or none. A model should mean the same everywhere.',
  },
  nul: {
    what: 'a location with a NUL character',
    lathe: 'refused',
    runtime: 'read up to it',
    why: 'Two readers would see two names.',
  },
  notUtf8: {
    what: 'a location that is not UTF-8',
    lathe: 'refused',
    runtime: 'read on Linux',
    why: 'Neither protobuf nor other systems have such names.',
  },
  numbers: {
    what: 'an offset of `-0`, a length of `0x800`',
    lathe: 'refused',
    runtime: 'read',
    why: 'The format says decimal. Both refuse `+4`, ` 4` and an offset of `0x4`.',
  },
} as const satisfies Record<string, Difference>;

export type DifferenceName = keyof typeof differences;
