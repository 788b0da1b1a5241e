import { describe, expect, it } from 'vitest';
import { ResourceError } from '../../src/errors.ts';
import { loadRuntime } from '../../src/evaluate/runtime.ts';

describe('loadRuntime', () => {
  it('names the command that installs the missing peer', async () => {
    const absent = 'onnxruntime-node-is-not-here';
    const loading = loadRuntime(absent);
    await expect(loading).rejects.toThrow(ResourceError);
    await expect(loading).rejects.toMatchObject({
      code: 'ERR_PEER_MISSING',
      message: 'running a model takes onnxruntime-node, which is not installed',
      hint: 'npm install onnxruntime-node',
    });
  });

  it('tells a broken installation from a missing one', async () => {
    const loading = loadRuntime(undefined, () => {
      throw new Error('libonnxruntime.so.1: no\n  at x');
    });
    await expect(loading).rejects.toMatchObject({
      code: 'ERR_PEER_MISSING',
      message: 'onnxruntime-node is installed but does not load: libonnxruntime.so.1: no',
    });
  });
});
