import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const repository = fileURLToPath(new URL('../../', import.meta.url));

test('the committed code is what the schema generates', () => {
  const check = () =>
    execFileSync(process.execPath, ['tools/generate-proto.mjs', '--check'], { cwd: repository });
  expect(check).not.toThrow();
});
