import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/report/check.ts';
import { useWorkspace } from '../external-data/workspace.ts';
import { askRuntime, brokenModel, type Case } from './broken/case.ts';
import { FUNCTIONS } from './broken/functions.ts';
import { INTERFACES, VERSIONS } from './broken/interfaces.ts';
import { NAMES } from './broken/names.ts';
import { NODES } from './broken/nodes.ts';
import { SPARSE } from './broken/sparse.ts';
import { TENSORS } from './broken/tensors.ts';

const workspace = useWorkspace();

const GROUPS: readonly (readonly [string, readonly Case[]])[] = [
  ['versions and imports', VERSIONS],
  ['inputs and outputs', INTERFACES],
  ['names and order', NAMES],
  ['functions', FUNCTIONS],
  ['nodes', NODES],
  ['tensors', TENSORS],
  ['sparse tensors', SPARSE],
];

describe.each(GROUPS)('%s', (_, cases) => {
  it.each(cases)('$name', async ({ edit, finds, runtime, difference }) => {
    const bytes = brokenModel(edit);
    const { findings, counts } = await checkModel(workspace.write('model.onnx', bytes));
    expect(findings.map(({ severity, code }) => `${severity} ${code}`)).toEqual(
      finds.map(([kind]) => kind),
    );
    for (const [index, [, message, where]] of finds.entries()) {
      if (message !== undefined) expect(findings[index]?.message).toBe(message);
      if (where !== undefined) expect(findings[index]?.where).toEqual(where);
    }
    // An error is what ONNX Runtime refuses, but where there is a reason.
    expect(await askRuntime(bytes)).toBe(runtime);
    expect(counts.errors > 0 === (runtime === 'refuses')).toBe(difference === undefined);
  });
});
