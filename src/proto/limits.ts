/** How much a model file may ask of its reader. Files come from strangers: every bound has a reason. Pure. */

import { GIB, MIB } from '../bytes.ts';

/** Largest message every protobuf implementation reads and writes: lengths are signed 32-bit numbers there. */
export const FILE_BYTE_LIMIT = 2 ** 31 - 1;

/**
 * Nested messages, the outermost not counted. The default of the protobuf implementations that ONNX Runtime and
 * onnx use; it allows 33 levels of If and Loop bodies.
 */
export const DEPTH_LIMIT = 100;

/**
 * Bytes of a tensor payload from which it is left in the file. Shapes, axes and scalars are smaller and wanted at
 * once; a payload left out costs more than this in descriptions.
 */
export const PAYLOAD_THRESHOLD = 256;

/**
 * Nodes below this size are not searched for payloads: nearly all nodes are, and searching them takes longer than
 * everything else. What a small Constant node holds stays with it.
 */
export const WHOLE_NODE_BYTES = 1024;

/** Bytes that may remain once the payloads are left out. 100,000 nodes with stack traces take 55 MB. */
export const SKELETON_BYTE_LIMIT = 512 * MIB;

/**
 * Estimated JavaScript heap of the decoded skeleton: half of what Node grants by default on a 64-bit machine. A
 * few bytes of protobuf can ask for a hundred times as much heap, and running out of heap cannot be caught.
 */
export const HEAP_BYTE_LIMIT = 2 * GIB;

/** Estimated heap of one decoded message, measured on nodes (empty lists included) and rounded up. */
export const MESSAGE_HEAP_BYTES = 256;

/** Estimated heap of one decoded field: its slot, and a short string or a 64-bit number. */
export const FIELD_HEAP_BYTES = 48;

/**
 * Estimated heap per byte of packed 64-bit varints: an element of one byte takes eight there, in a list that was copied
 * to grow. Measured.
 */
export const PACKED_INT64_HEAP_BYTES = 24;

/** Estimated heap per byte of packed 32-bit varints and floating-point numbers, with room for a growing list. */
export const PACKED_NUMBER_HEAP_BYTES = 12;
