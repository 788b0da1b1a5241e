import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Model } from '../../src/model/model.ts';
import { renameValues, takenNames } from '../../src/model/rename.ts';
import { syncModel } from '../../src/model/sync.ts';
import type { Value } from '../../src/model/value.ts';
import { decodeModel } from '../../src/proto/codec.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { bytesOf } from '../proto/payloads.ts';

/** A node: what it reads, as indices into what is defined before it, and the nodes of its body. */
interface Shape {
  readonly reads: readonly number[];
  readonly body: readonly Shape[];
}

const shapes: fc.Memo<Shape[]> = fc.memo((depth) =>
  fc.array(
    fc.record({
      reads: fc.array(fc.nat(), { maxLength: 3 }),
      body:
        depth > 1
          ? fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, shapes(depth - 1))
          : fc.constant([]),
    }),
    { maxLength: 5 },
  ),
);

/** How the values of the main graph are called, by the names that {@link modelOf} gives them. */
type Naming = (name: string) => string;

function graphOf(
  nodes: readonly Shape[],
  prefix: string,
  outer: readonly string[],
  naming: Naming,
): onnx.IGraphProto {
  const own = [`${prefix}w`];
  const read = (index: number) => {
    const all = [...outer, ...own];
    return naming(all[index % all.length] ?? '');
  };
  const node = nodes.map(({ reads, body }, at): onnx.INodeProto => {
    const output = `${prefix}${at}`;
    const input = reads.map(read);
    const attribute =
      body.length === 0
        ? []
        : [{ name: 'g', type: 5, g: graphOf(body, `${output}.`, [...outer, ...own], naming) }];
    own.push(output);
    return { input, output: [naming(output)], name: output, opType: 'Op', attribute };
  });
  const info = (name: string): onnx.IValueInfoProto => ({
    name: naming(name),
    type: { tensorType: { elemType: 1 } },
  });
  return {
    node,
    initializer: [
      { dims: [1], dataType: 1, name: naming(`${prefix}w`), rawData: new Uint8Array(4) },
    ],
    output: [info(own.at(-1) ?? '')],
    valueInfo: [...own, ...outer].slice(0, 4).map(info),
  };
}

function modelOf(nodes: readonly Shape[], naming: Naming): Buffer {
  const graph = graphOf(nodes, 'v', ['x', 'y'], naming);
  graph.input = [{ name: naming('x') }, { name: naming('y') }];
  return Buffer.from(onnx.ModelProto.encode({ irVersion: 10, graph }).finish());
}

function readerOf(bytes: Buffer): Parameters<typeof decodeModel>[0] {
  return {
    byteLength: bytes.length,
    read: (byteOffset, byteLength) => bytes.subarray(byteOffset, byteOffset + byteLength),
  };
}

function encoded(model: Model): Buffer {
  return Buffer.from(bytesOf(syncModel(model)));
}

it('is the model that has the names from the start, and is undone by the opposite', () => {
  const choices = fc.record({
    nodes: shapes(3),
    chosen: fc.array(fc.nat(), { minLength: 1, maxLength: 6 }),
    rotate: fc.boolean(),
    looks: fc.boolean(),
  });
  fc.assert(
    fc.property(choices, ({ nodes, chosen, rotate, looks }) => {
      const before = modelOf(nodes, (name) => name);
      const { model: proto, tape } = decodeModel(readerOf(before), 'test.onnx');
      const model = new Model(proto, () => ({ kind: 'proto' }), tape);
      const values = [...model.graph.values.values()];
      const some = [...new Set(chosen.map((index) => values[index % values.length] as Value))];
      const old = some.map(({ name }) => name);
      // Each takes the name of the next, or one of its own.
      const wanted = old.map((name, at) =>
        rotate ? (old[(at + 1) % old.length] as string) : `${name}'`,
      );
      if (looks) for (const node of model.nodes()) expect(node.outputs).toHaveLength(1);
      expect(takenNames(model, new Set(wanted), new Set(old))).toEqual(new Map());
      renameValues(model, new Map(some.map((value, at) => [value, wanted[at] as string])));
      const names = new Map(old.map((name, at) => [name, wanted[at] as string]));
      const expected = modelOf(nodes, (name) => names.get(name) ?? name);
      // Names of nodes are not names of values.
      expect(encoded(model).equals(expected)).toBe(true);
      renameValues(model, new Map(some.map((value, at) => [value, old[at] as string])));
      expect(encoded(model).equals(before)).toBe(true);
    }),
  );
});
