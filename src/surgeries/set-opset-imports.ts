/**
 * Lower the version of an operator set that the model and its functions import.
 *
 * That is allowed where every node means the same in both versions: no operator that is used was changed in between,
 * be it that it only takes more element types. Others are declined, one by one, with the version they need. Raising
 * is declined: nodes would have to be converted to what the newer set says. Of com.microsoft there is version 1 alone.
 */

import { UsageError } from '../errors.ts';
import { messagesOf, nodeLabel } from '../model/messages.ts';
import type { Model } from '../model/model.ts';
import { plainDomain } from '../model/node.ts';
import { syncModel } from '../model/sync.ts';
import { peek } from '../proto/deferred.ts';
import { longToNumber, toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { NEWEST_OPSET, OPERATOR_VERSIONS } from './operator-versions.ts';
import { choice, integer } from './options.ts';
import { type Change, type Decline, defineSurgery, precondition } from './surgery.ts';

const NAME = 'set-opset-imports';

/** ONNX Runtime's own operators in the domain of ONNX, which exporters write and which have one version. */
const RUNTIME_OPERATORS = new Set(['SimplifiedLayerNormalization']);

/** The version of a list of imports for a domain; several entries count as the newest. */
function importedVersion(
  imports: readonly onnx.IOperatorSetIdProto[] | null | undefined,
  domain: string,
): number | undefined {
  const versions = (imports ?? [])
    .filter((entry) => plainDomain(entry.domain) === domain)
    .map((entry) => longToNumber(entry.version, 'an opset version'));
  return versions.length === 0 ? undefined : Math.max(...versions);
}

/** The version of an operator that an operator set has; undefined when it has none. */
export function operatorVersion(opType: string, opset: number): number | undefined {
  const versions = Object.hasOwn(OPERATOR_VERSIONS, opType) ? OPERATOR_VERSIONS[opType] : undefined;
  return versions?.findLast((version) => version <= opset);
}

/** An operator that is not the same in both versions. */
interface Obstacle {
  readonly opType: string;
  /** The version that brought the form in use; undefined for an operator that ONNX does not have. */
  readonly since: number | undefined;
  readonly first: string;
  count: number;
}

/** Operators of ONNX that are not in `opset` what they are in the version that is imported now. */
function obstacles(model: Model, opset: number): Obstacle[] {
  const proto = syncModel(model);
  const imported = importedVersion(proto.opsetImport, '') ?? opset;
  const isFunction = new Set(
    (proto.functions ?? []).map((body) => `${plainDomain(body.domain)}:${body.name ?? ''}`),
  );
  const found = new Map<string, Obstacle>();
  for (const message of messagesOf(proto)) {
    if (message.kind !== 'node') continue;
    const node = peek(message.node);
    const opType = node.opType ?? '';
    if (plainDomain(node.domain) !== '' || isFunction.has(`:${opType}`)) continue;
    const current = importedVersion(message.owner?.opsetImport, '') ?? imported;
    const since = operatorVersion(opType, current);
    if (current <= opset || RUNTIME_OPERATORS.has(opType)) continue;
    if (since !== undefined && since === operatorVersion(opType, opset)) continue;
    const known = found.get(opType);
    if (known === undefined) found.set(opType, { opType, since, first: nodeLabel(node), count: 1 });
    else known.count++;
  }
  return [...found.values()];
}

function declines(found: readonly Obstacle[]): Decline[] {
  const lowest = found.every(({ since }) => since !== undefined)
    ? `; opset ${Math.max(...found.map(({ since }) => since ?? 0))} is the lowest for this model`
    : '';
  return found.map(({ opType, since, first, count }) => {
    const what =
      since === undefined
        ? `the imported opset of ai.onnx has no ${opType}: what others have is unknown`
        : `${opType} has its form since opset ${since}`;
    return { node: first, reason: `${what}${count === 1 ? '' : ` (${count} nodes)`}${lowest}` };
  });
}

/** Lowers the entries of a domain that are above `opset`. */
function lower(
  imports: readonly onnx.IOperatorSetIdProto[] | null | undefined,
  domain: string,
  opset: number,
  owner: string,
): Change[] {
  const changes: Change[] = [];
  for (const entry of imports ?? []) {
    const version = longToNumber(entry.version, 'an opset version');
    if (plainDomain(entry.domain) !== domain || version <= opset) continue;
    entry.version = toInt64(opset, 'an opset version');
    changes.push({
      node: owner,
      what: `opset ${version} of ${domain || 'ai.onnx'} is ${opset} now`,
    });
  }
  return changes;
}

export default defineSurgery({
  name: NAME,
  summary: 'Lower an imported operator set, where every node means the same in both versions',
  options: {
    domain: choice(['ai.onnx', 'com.microsoft'], {
      default: 'ai.onnx',
      help: 'the operator set; of others the history is not known',
    }),
    version: integer({ min: 1, max: NEWEST_OPSET, help: 'the version to import' }),
  },
  check({ domain, version }) {
    if (domain === 'ai.onnx' || version === 1) return;
    throw new UsageError('ERR_OPTION', `surgery ${NAME}: ${domain} has no version ${version}`, {
      hint: 'its only version is 1',
    });
  },
  requires(model, { domain }) {
    if (model.opsetVersion(plainDomain(domain)) !== undefined) return;
    const known = (model.proto.opsetImport ?? []).map(
      (entry) => plainDomain(entry.domain) || 'ai.onnx',
    );
    throw precondition(
      NAME,
      `the model does not import ${domain}`,
      `it imports ${known.join(', ') || 'nothing'}`,
    );
  },
  apply(model, { domain: label, version }) {
    const domain = plainDomain(label);
    const { opsetImport, functions } = model.proto;
    const current = importedVersion(opsetImport, domain) ?? 0;
    const versions = [
      current,
      ...(functions ?? []).map((body) => importedVersion(body.opsetImport, domain) ?? 0),
    ];
    const decline = (declined: readonly Decline[]) => ({ changes: [], declined, warnings: [] });
    const why = (reason: string) => decline([{ node: label, reason }]);
    if (current < version) {
      return why(
        `opset ${current} is imported: nodes would have to be converted to opset ${version}, which onnx.version_converter does`,
      );
    }
    if (Math.max(...versions) <= version) return why(`opset ${version} is imported already`);
    if (domain === '') {
      if (Math.max(...versions) > NEWEST_OPSET) {
        return why(
          `opset ${Math.max(...versions)} is newer than the newest known one, ${NEWEST_OPSET}`,
        );
      }
      const found = obstacles(model, version);
      if (found.length > 0) return decline(declines(found));
    }
    const changes = [
      ...lower(opsetImport, domain, version, 'the model'),
      ...(functions ?? []).flatMap((body) =>
        lower(body.opsetImport, domain, version, `function ${body.domain}.${body.name}`),
      ),
    ];
    return { changes, declined: [], warnings: [] };
  },
});
