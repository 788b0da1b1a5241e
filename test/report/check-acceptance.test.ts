/** What `check` says of external data, against what this tool and ONNX Runtime do with the same files. */

import { describe, expect, it } from 'vitest';
import { checkModel } from '../../src/report/check.ts';
import { groups } from '../external-data/acceptance/groups.ts';
import { useWorkspace } from '../external-data/workspace.ts';

const workspace = useWorkspace();

/** Refused by ONNX Runtime, and no error here: why. */
const SILENT: Readonly<Record<string, string>> = {
  'an element type of tomorrow': 'a warning: a newer reader may know it',
  'a hard link that an If uses': 'how the file system links files is not in the model',
  'such a cache, its data used by an If': 'how the file system links files is not in the model',
  'the shape of a Reshape': 'takes knowing which operators need a value to infer shapes',
};

const KINDS: Readonly<Record<string, readonly string[]>> = {
  ERR_NOT_FOUND: ['external-missing'],
  ERR_PATH_ESCAPE: ['external-path'],
  ERR_EXTERNAL_BOUNDS: ['external-bounds'],
  ERR_EXTERNAL_DATA: ['external-reference', 'tensor-type'],
  ERR_TENSOR: ['tensor-bytes'],
  ERR_LIMIT: ['tensor-shape'],
};

describe.each(groups)('external data, $heading', ({ cases }) => {
  it.each(cases)('$name', async (test) => {
    const { findings, counts } = await checkModel(test.build(workspace));
    const isRead = test.lathe === 'reads' && test.runtime === 'reads';
    expect(counts.errors > 0).toBe(!isRead && SILENT[test.name] === undefined);
    if (test.lathe === 'reads') return;
    const codes = findings.map(({ code }) => code);
    expect(KINDS[test.lathe]?.some((code) => codes.includes(code as 'metadata'))).toBe(true);
    for (const { message } of findings) expect(message).not.toContain('tensor ""');
  });
});
