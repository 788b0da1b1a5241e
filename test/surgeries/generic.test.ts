/** What holds for every registered surgery, on the models of fixtures/NAME.NN.txt: before @@@ settings @@@ after. */

import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import { misorderedNodes } from '../../src/model/liveness.ts';
import { SURGERIES } from '../../src/surgeries/index.ts';
import { expectClose, type Renamed } from '../support/compare-runs.ts';
import { writeModel } from '../support/model-builder.ts';
import { fileSizes, printFile, runSteps } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));

interface Settings {
  readonly options: Readonly<Record<string, unknown>>;
  /** Largest difference of any output from the model before, relative to its largest magnitude. */
  readonly tolerance: number;
  readonly renamed?: Renamed;
  /** Outputs that the surgery takes away. */
  readonly dropped?: readonly string[];
}

const scratch = useScratchDirectory();

const fixtures = readdirSync(FIXTURES).map((file) => {
  const [before = '', settings = '{}', after = ''] = readFileSync(
    `${FIXTURES}/${file}`,
    'utf8',
  ).split('\n@@@\n');
  const [surgery = ''] = basename(file).split('.');
  return { file, surgery, before, settings: JSON.parse(settings) as Settings, after };
});

it('every surgery has a fixture', () => {
  const covered = new Set(fixtures.map(({ surgery }) => surgery));
  expect([...covered].sort()).toEqual(SURGERIES.map(({ name }) => name).sort());
});

/** References of the output into data files: aligned, whole, and overlapping only when they are the same. */
function checkReferences(path: string): void {
  using opened = openModel(path);
  const ends = new Map<string, number>();
  const sizes = new Map(
    [...opened.locations].map(([file, location]) => [location, file.byteLength] as const),
  );
  const ranges = new Map<string, { from: number; to: number }[]>();
  for (const { name, tensor } of opened.model.tensors()) {
    const { externalData } = tensor.proto;
    if (!externalData?.length) continue;
    expect(
      externalData.map(({ key }) => key),
      name,
    ).toEqual(['location', 'offset', 'length']);
    const [file = '', from = 0, byteLength = 0] = [
      externalData[0]?.value ?? '',
      Number(externalData[1]?.value),
      Number(externalData[2]?.value),
    ];
    const to = from + byteLength;
    expect(from % 64, name).toBe(0);
    const known = ranges.get(file) ?? [];
    for (const other of known) {
      const isSame = other.from === from && other.to === to;
      expect(isSame || other.to <= from || to <= other.from, name).toBe(true);
    }
    ranges.set(file, [...known, { from, to }]);
    ends.set(file, Math.max(to, ends.get(file) ?? 0));
  }
  expect(ends).toEqual(sizes);
}

/** Opening has checked that names are defined once and before any use by name; this is the rest. */
function checkGraph(path: string): void {
  using opened = openModel(path);
  expect(misorderedNodes(opened.model).map((node) => node.label)).toEqual([]);
  const names = [...opened.model.nodes()].map((node) => node.name).filter((name) => name !== '');
  expect(new Set(names).size).toBe(names.length);
  for (const { domain } of opened.model.nodes()) {
    expect(opened.model.opsetVersion(domain), domain).toBeGreaterThan(0);
  }
}

describe.each(fixtures)('$file', ({ surgery, before, settings, after }) => {
  const steps = [[surgery, settings.options]] as const;
  const input = () => writeModel(scratch('in'), before);

  it('gives what the fixture says', async () => {
    const { report, printed } = await runSteps(input(), scratch('out'), steps);
    const { changes, declined, warnings } = report.steps[0] ?? {};
    const notes = [
      ...(changes ?? []).map(({ node, what }) => `# ${node}: ${what}`),
      ...(declined ?? []).map(({ node, reason }) => `# left ${node}: ${reason}`),
      ...(warnings ?? []).map((warning) => `# warning: ${warning}`),
    ];
    expect(`${notes.join('\n')}\n${printed}`).toBe(after);
  });

  it('changes nothing when run again', async () => {
    const first = await runSteps(input(), scratch('out'), steps);
    const second = await runSteps(first.output, scratch('again'), steps);
    expect(second.report.steps[0]?.changes).toEqual([]);
    expect(second.report.changed).toBe(false);
    expect(readdirSync(scratch())).not.toContain('again');
  });

  it('leaves a graph that can be loaded, and the input as it was', async () => {
    const path = input();
    const bytes = readFileSync(path);
    const printed = printFile(path);
    const { output } = await runSteps(path, scratch('out'), steps);
    checkGraph(output);
    checkReferences(output);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(printFile(path)).toBe(printed);
  });

  it('is written as planned', async () => {
    const path = input();
    const planned = await runSteps(path, scratch('out'), steps, { dryRun: true });
    expect(readdirSync(scratch())).toEqual(['in']);
    const { report, output } = await runSteps(path, scratch('out'), steps);
    expect(planned.report.output).toEqual({ ...report.output, path: scratch('out') });
    expect([...planned.report.tensors]).toEqual([...report.tensors]);
    expect(planned.report.aliases).toBe(report.aliases);
    expect(fileSizes(report, dirname(output))).toEqual(
      Object.fromEntries(report.output.files.map((file) => [file.name, file.byteLength])),
    );
    expect(report.output.byteLength).toBe(
      report.output.files.reduce((sum, file) => sum + file.byteLength, 0),
    );
  });

  it('computes what it did before', async () => {
    const run = await runSteps(input(), scratch('out'), steps);
    await expectClose(run, settings.tolerance, settings.renamed, settings.dropped);
  });
});
