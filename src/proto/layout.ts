/**
 * What the scanner needs to know of onnx.proto: which fields hold messages, and which hold numbers that take more
 * room decoded than encoded. A test compares this table with the schema. Pure.
 */

/** Message types by the index the scanner uses. */
export const MESSAGE_TYPES = [
  'ModelProto',
  'GraphProto',
  'NodeProto',
  'AttributeProto',
  'TensorProto',
  'SparseTensorProto',
  'FunctionProto',
  'TrainingInfoProto',
  'ValueInfoProto',
  'TypeProto',
  'TypeProto.Tensor',
  'TypeProto.Sequence',
  'TypeProto.Map',
  'TypeProto.Optional',
  'TypeProto.SparseTensor',
  'TypeProto.Opaque',
  'TensorShapeProto',
  'TensorShapeProto.Dimension',
  'TensorProto.Segment',
  'StringStringEntryProto',
  'OperatorSetIdProto',
  'TensorAnnotation',
  'DeviceConfigurationProto',
  'NodeDeviceConfigurationProto',
  'ShardingSpecProto',
  'IntIntListEntryProto',
  'ShardedDimProto',
  'SimpleShardedDimProto',
] as const;

/** Name of a message type of the schema, without the package. */
export type MessageTypeName = (typeof MESSAGE_TYPES)[number];

/** What a field holds, as far as the scanner cares. The number types stand for repeated, packable fields. */
export type FieldContent = MessageTypeName | 'int64' | 'int32' | 'float' | 'double';

/** Fields of each message that are messages or repeated numbers. All others are leaves. */
export const MESSAGE_FIELDS: {
  readonly [type in MessageTypeName]: Readonly<Record<number, FieldContent>>;
} = {
  ModelProto: {
    7: 'GraphProto',
    8: 'OperatorSetIdProto',
    14: 'StringStringEntryProto',
    20: 'TrainingInfoProto',
    25: 'FunctionProto',
    26: 'DeviceConfigurationProto',
  },
  GraphProto: {
    1: 'NodeProto',
    5: 'TensorProto',
    11: 'ValueInfoProto',
    12: 'ValueInfoProto',
    13: 'ValueInfoProto',
    14: 'TensorAnnotation',
    15: 'SparseTensorProto',
    16: 'StringStringEntryProto',
  },
  NodeProto: {
    5: 'AttributeProto',
    9: 'StringStringEntryProto',
    10: 'NodeDeviceConfigurationProto',
  },
  AttributeProto: {
    5: 'TensorProto',
    6: 'GraphProto',
    7: 'float',
    8: 'int64',
    10: 'TensorProto',
    11: 'GraphProto',
    14: 'TypeProto',
    15: 'TypeProto',
    22: 'SparseTensorProto',
    23: 'SparseTensorProto',
  },
  TensorProto: {
    1: 'int64',
    3: 'TensorProto.Segment',
    4: 'float',
    5: 'int32',
    7: 'int64',
    10: 'double',
    11: 'int64',
    13: 'StringStringEntryProto',
    16: 'StringStringEntryProto',
  },
  SparseTensorProto: { 1: 'TensorProto', 2: 'TensorProto', 3: 'int64' },
  FunctionProto: {
    7: 'NodeProto',
    9: 'OperatorSetIdProto',
    11: 'AttributeProto',
    12: 'ValueInfoProto',
    14: 'StringStringEntryProto',
  },
  TrainingInfoProto: {
    1: 'GraphProto',
    2: 'GraphProto',
    3: 'StringStringEntryProto',
    4: 'StringStringEntryProto',
  },
  ValueInfoProto: { 2: 'TypeProto', 4: 'StringStringEntryProto' },
  TypeProto: {
    1: 'TypeProto.Tensor',
    4: 'TypeProto.Sequence',
    5: 'TypeProto.Map',
    7: 'TypeProto.Opaque',
    8: 'TypeProto.SparseTensor',
    9: 'TypeProto.Optional',
  },
  'TypeProto.Tensor': { 2: 'TensorShapeProto' },
  'TypeProto.Sequence': { 1: 'TypeProto' },
  'TypeProto.Map': { 2: 'TypeProto' },
  'TypeProto.Optional': { 1: 'TypeProto' },
  'TypeProto.SparseTensor': { 2: 'TensorShapeProto' },
  'TypeProto.Opaque': {},
  TensorShapeProto: { 1: 'TensorShapeProto.Dimension' },
  'TensorShapeProto.Dimension': {},
  'TensorProto.Segment': {},
  StringStringEntryProto: {},
  OperatorSetIdProto: {},
  TensorAnnotation: { 2: 'StringStringEntryProto' },
  DeviceConfigurationProto: {},
  NodeDeviceConfigurationProto: { 2: 'ShardingSpecProto' },
  ShardingSpecProto: { 2: 'int64', 3: 'IntIntListEntryProto', 4: 'ShardedDimProto' },
  IntIntListEntryProto: { 2: 'int64' },
  ShardedDimProto: { 2: 'SimpleShardedDimProto' },
  SimpleShardedDimProto: {},
};

/** Fields of TensorProto that hold little-endian numbers, which are left in the file when they are large. */
export const PAYLOAD_FIELDS = { float_data: 4, raw_data: 9, double_data: 10 } as const;

/** ONNX name of a field of TensorProto whose bytes are laid out as in `raw_data`. */
export type PayloadField = keyof typeof PAYLOAD_FIELDS;
