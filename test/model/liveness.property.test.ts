import fc from 'fast-check';
import { expect, it } from 'vitest';
import { misorderedNodes, removeDead, removeUnread } from '../../src/model/liveness.ts';
import { Model } from '../../src/model/model.ts';
import { syncModel } from '../../src/model/sync.ts';
import { onnx } from '../../src/proto/onnx.ts';

/** A node of a random graph: what it reads, as indices into what is defined before it, and what it contains. */
interface Shape {
  readonly reads: readonly number[];
  readonly body: readonly Shape[];
  readonly results: number;
}

const shapes: fc.Memo<Shape[]> = fc.memo((depth) =>
  fc.array(
    fc.record({
      reads: fc.array(fc.nat(), { maxLength: 3 }),
      body:
        depth > 1
          ? fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, shapes(depth - 1))
          : fc.constant([]),
      results: fc.integer({ min: 1, max: 2 }),
    }),
    { maxLength: 7 },
  ),
);

/** The messages of a graph of these nodes; `outer` are the names it may read. */
function graphOf(
  nodes: readonly Shape[],
  outer: readonly string[],
  outputs: readonly number[],
  next: { id: number },
): onnx.IGraphProto {
  const weights = [`w${next.id++}`, `w${next.id++}`];
  const names = [...outer, ...weights];
  const node: onnx.INodeProto[] = [];
  for (const { reads, body, results } of nodes) {
    const input = reads.map((index) => names[index % names.length] ?? '');
    const output = Array.from({ length: results }, () => `v${next.id++}`);
    const attribute =
      body.length === 0 ? [] : [{ name: 'body', type: 5, g: graphOf(body, names, [0], next) }];
    node.push({ opType: 'Op', domain: 'test', input, output, attribute });
    names.push(...output);
  }
  const own = names.slice(outer.length + weights.length);
  const chosen = new Set(outputs.map((index) => own[index % own.length]));
  return {
    node,
    initializer: weights.map((name) => ({ name, dataType: 1, dims: [1], floatData: [1] })),
    output: [...chosen].filter((name) => name !== undefined).map((name) => ({ name })),
  };
}

interface Left {
  readonly nodes: string[];
  readonly weights: string[];
}

/** What is needed, found the slow way: marking until nothing is added. */
function needed(graph: onnx.IGraphProto): Left {
  const names = new Set((graph.output ?? []).map(({ name }) => name ?? ''));
  const alive = new Set<onnx.INodeProto>();
  const visit = (current: onnx.IGraphProto): void => {
    for (const node of current.node ?? []) {
      if (!node.output?.some((name) => names.has(name))) continue;
      alive.add(node);
      for (const name of node.input ?? []) names.add(name);
      for (const { g } of node.attribute ?? []) {
        for (const { name } of g?.output ?? []) names.add(name ?? '');
        if (g) visit(g);
      }
    }
  };
  for (let before = -1; before !== names.size; ) {
    before = names.size;
    visit(graph);
  }
  const left: Left = { nodes: [], weights: [] };
  const collect = (current: onnx.IGraphProto): void => {
    left.weights.push(
      ...(current.initializer ?? [])
        .map(({ name }) => name ?? '')
        .filter((name) => names.has(name)),
    );
    for (const node of current.node ?? []) {
      if (!alive.has(node)) continue;
      left.nodes.push(node.output?.[0] ?? '');
      for (const { g } of node.attribute ?? []) if (g) collect(g);
    }
  };
  collect(graph);
  return { nodes: left.nodes.sort(), weights: left.weights.sort() };
}

function present(graph: onnx.IGraphProto): Left {
  const left: Left = { nodes: [], weights: [] };
  const collect = (current: onnx.IGraphProto): void => {
    left.weights.push(...(current.initializer ?? []).map(({ name }) => name ?? ''));
    for (const node of current.node ?? []) {
      left.nodes.push(node.output?.[0] ?? '');
      for (const { g } of node.attribute ?? []) if (g) collect(g);
    }
  };
  collect(graph);
  return { nodes: left.nodes.sort(), weights: left.weights.sort() };
}

const models = fc
  .record({ nodes: shapes(3), outputs: fc.array(fc.nat(), { maxLength: 2 }) })
  .map(({ nodes, outputs }) =>
    onnx.ModelProto.encode({
      irVersion: 10,
      graph: graphOf(nodes, [], outputs, { id: 0 }),
    }).finish(),
  );

function build(bytes: Uint8Array): Model {
  return new Model(onnx.ModelProto.decode(bytes), () => ({ kind: 'proto' }));
}

it('what stays is exactly what an output needs, and it is a whole model', () => {
  fc.assert(
    fc.property(models, (bytes) => {
      const model = build(bytes);
      const expected = needed(onnx.ModelProto.decode(bytes).graph ?? {});
      removeDead(model);
      const graph = syncModel(model).graph ?? {};
      expect(present(graph)).toEqual(expected);
      const again = build(onnx.ModelProto.encode(model.proto).finish());
      expect(misorderedNodes(again)).toEqual([]);
      expect(removeDead(again)).toEqual({ nodes: [], initializers: [] });
    }),
    { numRuns: 200 },
  );
});

it('a model that nobody edits comes back byte for byte', () => {
  fc.assert(
    fc.property(models, (bytes) => {
      const model = build(bytes);
      expect(Buffer.compare(onnx.ModelProto.encode(syncModel(model)).finish(), bytes)).toBe(0);
    }),
  );
});

it('removing what is unread removes nothing that is needed, and nothing that is read', () => {
  fc.assert(
    fc.property(models, fc.array(fc.nat(), { maxLength: 3 }), (bytes, chosen) => {
      const model = build(bytes);
      const expected = needed(onnx.ModelProto.decode(bytes).graph ?? {});
      const values = [...model.graph.values.values()];
      removeUnread(
        model,
        chosen.map((index) => values[index % Math.max(1, values.length)]),
      );
      const left = present(syncModel(model).graph ?? {});
      expect(left.nodes).toEqual(expect.arrayContaining(expected.nodes));
      expect(left.weights).toEqual(expect.arrayContaining(expected.weights));
      build(onnx.ModelProto.encode(model.proto).finish());
    }),
  );
});
