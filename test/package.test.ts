import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');

function readJson(name: string) {
  return JSON.parse(readFileSync(join(root, name), 'utf8'));
}

const manifest = readJson('package.json');
const exactVersion = /^\d+\.\d+\.\d+$/;

describe('package.json', () => {
  it('depends on no package', () => {
    expect(manifest).not.toHaveProperty('dependencies');
    expect(manifest).not.toHaveProperty('optionalDependencies');
  });

  it('names onnxruntime-node as a peer that may be missing', () => {
    expect(Object.keys(manifest.peerDependencies)).toEqual(['onnxruntime-node']);
    expect(manifest.peerDependenciesMeta).toEqual({ 'onnxruntime-node': { optional: true } });
  });

  it.each(Object.entries<string>(manifest.devDependencies))(
    'pins %s to one version, the one in package-lock.json',
    (name, version) => {
      expect(version).toMatch(exactVersion);
      expect(readJson('package-lock.json').packages[`node_modules/${name}`].version).toBe(version);
    },
  );

  it('runs nothing when it is installed or packed', () => {
    const hooks = /^(pre|post)?(install|prepare|pack|publish|prepublishOnly|dependencies)$/;
    expect(Object.keys(manifest.scripts).filter((name) => hooks.test(name))).toEqual([]);
    expect(existsSync(join(root, 'binding.gyp'))).toBe(false);
  });

  it('keeps install scripts of dependencies from running', () => {
    const locked = Object.entries<{ hasInstallScript?: boolean }>(
      readJson('package-lock.json').packages,
    );
    const scripted = locked
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect(scripted.sort()).toEqual(Object.keys(manifest.allowScripts).sort());
    expect(Object.values(manifest.allowScripts)).not.toContain(true);
    expect(readFileSync(join(root, '.npmrc'), 'utf8')).toMatch(/^ignore-scripts=true$/m);
  });
});

describe('the built package', () => {
  let packed: string[] = [];

  beforeAll(() => {
    execFileSync(process.execPath, [join(root, 'tools', 'build.mjs'), '--if-stale'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const npm = process.env['npm_execpath'] ?? '';
    const [command, first] = npm.endsWith('npm-cli.js') ? [process.execPath, [npm]] : ['npm', []];
    const args = [...first, 'pack', '--dry-run', '--json', '--ignore-scripts', '--loglevel=error'];
    const report = JSON.parse(execFileSync(command, args, { cwd: root, encoding: 'utf8' }));
    // npm 12 answers with an object keyed by package name, earlier ones with a list.
    const [{ files }] = Object.values<{ files: { path: string }[] }>(report) as [
      { files: { path: string }[] },
    ];
    packed = files.map(({ path }) => path);
  });

  it('has a program and an entry that exist', () => {
    const program = join(root, manifest.bin['onnx-lathe']);
    expect(readFileSync(program, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/);
    expect(statSync(program).mode & 0o111).toBe(0o111);
    expect(packed).toContain(manifest.bin['onnx-lathe']);
    for (const path of Object.values<string>(manifest.exports['.'])) {
      expect(packed).toContain(path.replace(/^\.\//, ''));
    }
  });

  it('holds everything that was compiled for the library', () => {
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' });
    const modules = sources.filter(
      (path) => path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('cli/'),
    );
    expect(modules.length).toBeGreaterThan(50);
    const expected = modules.flatMap((path) =>
      ['.js', '.d.ts'].map((ending) => `dist/${path.replace(/\.ts$/, ending)}`),
    );
    expect(packed).toEqual(expect.arrayContaining(expected));
  });

  it('holds the kernels for WebAssembly, and nothing of their compiler', () => {
    expect(packed).toContain('native/wasm/kernels.wasm');
    expect(packed.filter((path) => path.includes('node_modules'))).toEqual([]);
  });

  it('holds a command line that needs nothing beside it, and the licenses of what is in it', () => {
    const imports = packed
      .filter((path) => /^dist\/cli\/.*\.js$/.test(path))
      .flatMap((path) => {
        const code = readFileSync(join(root, path), 'utf8');
        return [...code.matchAll(/\b(?:require|import)\("([^."/].*?|\.\/[\w-]+\.js)"\)/g)];
      })
      .map(([, name = '']) => name);
    const inside = packed.map((path) => path.replace(/^dist\/cli\//, './'));
    const others = imports.filter((name) => !name.startsWith('node:') && !inside.includes(name));
    expect(imports.length).toBeGreaterThan(50);
    // Node's own "url", which the bundler asks for in place of import.meta.url.
    expect(new Set(others)).toEqual(new Set(['url']));
    const licenses = readFileSync(join(root, 'dist', 'cli', 'LICENSES.txt'), 'utf8');
    expect(licenses).toMatch(/^commander\n\n\(The MIT License\)\n\nCopyright/m);
    expect(packed).toContain('dist/cli/LICENSES.txt');
  });

  it('holds what the addon is built from', () => {
    const sources = ['', 'kernels/'].flatMap((folder) =>
      readdirSync(join(root, 'native', folder))
        .filter((name) => /\.(cc|h|mjs)$/.test(name))
        .map((name) => `native/${folder}${name}`),
    );
    expect(sources).toContain('native/build.mjs');
    expect(packed).toEqual(expect.arrayContaining(sources));
  });

  it('holds no tests, sources, build leftovers or configuration', () => {
    const known =
      /^(dist|docs|prebuilds|native)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
    expect(packed.filter((path) => !known.test(path))).toEqual([]);
    expect(packed.filter((path) => /^native\/build\/|\.test\.|\.tsbuildinfo$/.test(path))).toEqual(
      [],
    );
  });
});

describe('the linter', () => {
  it('knows every room of src', () => {
    const overrides: { includes: string[] }[] = readJson('biome.json').overrides;
    const ruled = overrides.flatMap(({ includes }) => includes);
    const entries = readdirSync(join(root, 'src'), { withFileTypes: true });
    const missing = entries
      .map((entry) => (entry.isDirectory() ? `src/${entry.name}/**` : `src/${entry.name}`))
      .filter((path) => !ruled.includes(path));
    expect(missing).toEqual([]);
  });
});
