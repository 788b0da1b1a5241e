/** Values whose name or type something outside the nodes relies on. Pure. */

import type { Value } from '../model/value.ts';
import { peek } from '../proto/deferred.ts';

/** Whether a reading node says by the value's name how it is spread over devices. */
function isSharded(value: Value): boolean {
  return value.consumers.some(({ proto }) =>
    peek(proto).deviceConfigurations?.some(({ shardingSpec }) =>
      shardingSpec?.some(({ tensorName }) => tensorName === value.name),
    ),
  );
}

/** Why an initializer has to stay what it is; undefined when only nodes read it. `held`: namesHeldElsewhere. */
export function nameHolder(value: Value, held: ReadonlySet<string>): string | undefined {
  if (value.isGraphInput) return 'it is also an input, which a caller may replace';
  if (value.isGraphOutput) return 'it is an output';
  if (held.has(value.name)) return 'an annotation or training names it';
  return isSharded(value) ? 'a device configuration names it' : undefined;
}
