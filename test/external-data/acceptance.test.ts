/**
 * The acceptance matrix of external data: what onnx-lathe and ONNX Runtime do with the same files. The rule is to
 * read what ONNX Runtime reads and to refuse what it refuses; differences are on purpose and say why.
 */

import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import type { OpenedModel } from '../../src/external-data/open-model.ts';
import { checkOutput } from '../../src/external-data/output.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { planOutput } from '../../src/recipes/plan-output.ts';
import { writeOutput } from '../../src/recipes/write-output.ts';
import {
  agrees,
  askLathe,
  askRuntime,
  type Case,
  type RuntimeVerdict,
  signalOfRuntime,
  weightOf,
} from './acceptance/case.ts';
import { groups } from './acceptance/groups.ts';
import { COUNT } from './acceptance/models.ts';
import { useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

/** The weight of a case, where it has one to compare. */
function weightIn({ first = 1, elements = COUNT }: Case): Float32Array | undefined {
  return first === null ? undefined : Float32Array.from({ length: elements }, (_, i) => first + i);
}

/** What the model of a case computes from zeros. */
function outputOf(test: Case): Float32Array {
  const second = (i: number) => (test.second === undefined ? 0 : test.second + i);
  const zeros = new Float32Array(test.elements ?? COUNT);
  return weightIn(test)?.map((value, i) => value + second(i)) ?? zeros;
}

/** ONNX Runtime decides as stated and, where it reads the model, finds the numbers of the case in it. */
async function expectRuntime(path: string, verdict: RuntimeVerdict, test: Case): Promise<void> {
  if (verdict === 'aborts') {
    expect(await signalOfRuntime(path)).toBe('SIGABRT');
    return;
  }
  const result = await askRuntime(path);
  expect(result).toEqual(verdict === 'reads' ? outputOf(test) : expect.any(String));
}

/** What onnx-lathe writes is plain files, with references that every loader takes. */
function expectPlainOutput(directory: string): void {
  for (const name of readdirSync(directory)) {
    const stats = lstatSync(`${directory}/${name}`);
    expect([stats.isFile() || stats.isDirectory(), stats.isFile() ? stats.nlink : 1]).toEqual([
      true,
      1,
    ]);
  }
  const { graph } = onnx.ModelProto.decode(readFileSync(`${directory}/model.onnx`));
  for (const { externalData, dataLocation, rawData, floatData } of graph?.initializer ?? []) {
    if (dataLocation !== 1) continue;
    expect(externalData?.map(({ key }) => key)).toEqual(['location', 'offset', 'length']);
    expect([rawData?.length ?? 0, floatData?.length ?? 0]).toEqual([0, 0]);
  }
}

async function expectWritten(opened: OpenedModel, path: string, test: Case): Promise<void> {
  const output = workspace.path('written');
  const target = checkOutput(output);
  const request = {
    opened,
    modelPath: path,
    target,
    inPlace: false,
    layout: undefined,
    assets: [],
  };
  await writeOutput(request, planOutput(request), {
    memoryBytes: MIB,
    threads: 1,
    io: 'auto',
    measured: true,
  });
  expectPlainOutput(output);
  await expectRuntime(`${output}/model.onnx`, test.written ?? 'reads', test);
}

describe.each(groups)('external data, $heading', ({ cases }) => {
  it.each(cases)('$name', async (test) => {
    expect(test.difference === undefined).toBe(agrees(test));
    const path = test.build(workspace);
    await expectRuntime(path, test.runtime, test);
    const answer = await askLathe(path);
    if (typeof answer === 'string') {
      expect(answer).toBe(test.lathe);
      return;
    }
    using opened = answer;
    expect(test.lathe).toBe('reads');
    expect(opened.warnings).toEqual(
      test.warning === undefined ? [] : [expect.stringMatching(test.warning)],
    );
    const weight = weightIn(test);
    if (weight !== undefined) expect(weightOf(opened)).toEqual(weight);
    await expectWritten(opened, path, test);
  });
});
