// Generated from onnx.proto by tools/generate-proto.mjs. Do not edit.

import type { Int64 } from './int64.ts';
import type { MessageType } from './message-fields.ts';
import { defineMessages } from './message-type.ts';

export namespace onnx {
export interface IStringStringEntryProto { key?: string | null; value?: string | null; $unknowns?: Uint8Array[]; }
export interface StringStringEntryProto extends IStringStringEntryProto { key: string; value: string; }

export interface IOperatorSetIdProto { domain?: string | null; version?: Int64 | null; $unknowns?: Uint8Array[]; }
export interface OperatorSetIdProto extends IOperatorSetIdProto { domain: string; version: Int64; }

export interface IModelProto { irVersion?: Int64 | null; producerName?: string | null; producerVersion?: string | null; domain?: string | null; modelVersion?: Int64 | null; docString?: string | null; graph?: IGraphProto | null; opsetImport?: IOperatorSetIdProto[] | null; metadataProps?: IStringStringEntryProto[] | null; trainingInfo?: ITrainingInfoProto[] | null; functions?: IFunctionProto[] | null; configuration?: IDeviceConfigurationProto[] | null; $unknowns?: Uint8Array[]; }
export interface ModelProto extends IModelProto { irVersion: Int64; producerName: string; producerVersion: string; domain: string; modelVersion: Int64; docString: string; opsetImport: IOperatorSetIdProto[]; metadataProps: IStringStringEntryProto[]; trainingInfo: ITrainingInfoProto[]; functions: IFunctionProto[]; configuration: IDeviceConfigurationProto[]; }

export interface IGraphProto { node?: INodeProto[] | null; name?: string | null; initializer?: ITensorProto[] | null; docString?: string | null; input?: IValueInfoProto[] | null; output?: IValueInfoProto[] | null; valueInfo?: IValueInfoProto[] | null; quantizationAnnotation?: ITensorAnnotation[] | null; sparseInitializer?: ISparseTensorProto[] | null; metadataProps?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface GraphProto extends IGraphProto { node: INodeProto[]; name: string; initializer: ITensorProto[]; docString: string; input: IValueInfoProto[]; output: IValueInfoProto[]; valueInfo: IValueInfoProto[]; quantizationAnnotation: ITensorAnnotation[]; sparseInitializer: ISparseTensorProto[]; metadataProps: IStringStringEntryProto[]; }

export interface INodeProto { input?: string[] | null; output?: string[] | null; name?: string | null; opType?: string | null; attribute?: IAttributeProto[] | null; docString?: string | null; domain?: string | null; overload?: string | null; metadataProps?: IStringStringEntryProto[] | null; deviceConfigurations?: INodeDeviceConfigurationProto[] | null; $unknowns?: Uint8Array[]; }
export interface NodeProto extends INodeProto { input: string[]; output: string[]; name: string; opType: string; attribute: IAttributeProto[]; docString: string; domain: string; overload: string; metadataProps: IStringStringEntryProto[]; deviceConfigurations: INodeDeviceConfigurationProto[]; }

export interface IAttributeProto { name?: string | null; f?: number | null; i?: Int64 | null; s?: Uint8Array | null; t?: ITensorProto | null; g?: IGraphProto | null; floats?: number[] | null; ints?: Int64[] | null; strings?: Uint8Array[] | null; tensors?: ITensorProto[] | null; graphs?: IGraphProto[] | null; docString?: string | null; tp?: ITypeProto | null; typeProtos?: ITypeProto[] | null; type?: number | null; refAttrName?: string | null; sparseTensor?: ISparseTensorProto | null; sparseTensors?: ISparseTensorProto[] | null; $unknowns?: Uint8Array[]; }
export interface AttributeProto extends IAttributeProto { name: string; f: number; i: Int64; s: Uint8Array; floats: number[]; ints: Int64[]; strings: Uint8Array[]; tensors: ITensorProto[]; graphs: IGraphProto[]; docString: string; typeProtos: ITypeProto[]; type: number; refAttrName: string; sparseTensors: ISparseTensorProto[]; }

export interface ITensorProto { dims?: Int64[] | null; dataType?: number | null; segment?: TensorProto.ISegment | null; floatData?: number[] | null; int32Data?: number[] | null; stringData?: Uint8Array[] | null; int64Data?: Int64[] | null; name?: string | null; rawData?: Uint8Array | null; doubleData?: number[] | null; uint64Data?: Int64[] | null; docString?: string | null; externalData?: IStringStringEntryProto[] | null; dataLocation?: number | null; metadataProps?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface TensorProto extends ITensorProto { dims: Int64[]; dataType: number; floatData: number[]; int32Data: number[]; stringData: Uint8Array[]; int64Data: Int64[]; name: string; rawData: Uint8Array; doubleData: number[]; uint64Data: Int64[]; docString: string; externalData: IStringStringEntryProto[]; dataLocation: number; metadataProps: IStringStringEntryProto[]; }
export namespace TensorProto {


export interface ISegment { begin?: Int64 | null; end?: Int64 | null; $unknowns?: Uint8Array[]; }
export interface Segment extends ISegment { begin: Int64; end: Int64; }

}

export interface ISparseTensorProto { values?: ITensorProto | null; indices?: ITensorProto | null; dims?: Int64[] | null; $unknowns?: Uint8Array[]; }
export interface SparseTensorProto extends ISparseTensorProto { dims: Int64[]; }

export interface IValueInfoProto { name?: string | null; type?: ITypeProto | null; docString?: string | null; metadataProps?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface ValueInfoProto extends IValueInfoProto { name: string; docString: string; metadataProps: IStringStringEntryProto[]; }

export interface ITensorShapeProto { dim?: TensorShapeProto.IDimension[] | null; $unknowns?: Uint8Array[]; }
export interface TensorShapeProto extends ITensorShapeProto { dim: TensorShapeProto.IDimension[]; }
export namespace TensorShapeProto {
export interface IDimension { dimValue?: Int64 | null; dimParam?: string | null; denotation?: string | null; $unknowns?: Uint8Array[]; }
export interface Dimension extends IDimension { dimValue: Int64; dimParam: string; denotation: string; }

}

export interface ITypeProto { tensorType?: TypeProto.ITensor | null; sequenceType?: TypeProto.ISequence | null; mapType?: TypeProto.IMap | null; denotation?: string | null; opaqueType?: TypeProto.IOpaque | null; sparseTensorType?: TypeProto.ISparseTensor | null; optionalType?: TypeProto.IOptional | null; $unknowns?: Uint8Array[]; }
export interface TypeProto extends ITypeProto { denotation: string; }
export namespace TypeProto {
export interface ITensor { elemType?: number | null; shape?: ITensorShapeProto | null; $unknowns?: Uint8Array[]; }
export interface Tensor extends ITensor { elemType: number; }

export interface ISequence { elemType?: ITypeProto | null; $unknowns?: Uint8Array[]; }
export interface Sequence extends ISequence {  }

export interface IMap { keyType?: number | null; valueType?: ITypeProto | null; $unknowns?: Uint8Array[]; }
export interface Map extends IMap { keyType: number; }

export interface IOptional { elemType?: ITypeProto | null; $unknowns?: Uint8Array[]; }
export interface Optional extends IOptional {  }

export interface ISparseTensor { elemType?: number | null; shape?: ITensorShapeProto | null; $unknowns?: Uint8Array[]; }
export interface SparseTensor extends ISparseTensor { elemType: number; }

export interface IOpaque { domain?: string | null; name?: string | null; $unknowns?: Uint8Array[]; }
export interface Opaque extends IOpaque { domain: string; name: string; }

}

export interface IFunctionProto { name?: string | null; input?: string[] | null; output?: string[] | null; attribute?: string[] | null; node?: INodeProto[] | null; docString?: string | null; opsetImport?: IOperatorSetIdProto[] | null; domain?: string | null; attributeProto?: IAttributeProto[] | null; valueInfo?: IValueInfoProto[] | null; overload?: string | null; metadataProps?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface FunctionProto extends IFunctionProto { name: string; input: string[]; output: string[]; attribute: string[]; node: INodeProto[]; docString: string; opsetImport: IOperatorSetIdProto[]; domain: string; attributeProto: IAttributeProto[]; valueInfo: IValueInfoProto[]; overload: string; metadataProps: IStringStringEntryProto[]; }

export interface ITrainingInfoProto { initialization?: IGraphProto | null; algorithm?: IGraphProto | null; initializationBinding?: IStringStringEntryProto[] | null; updateBinding?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface TrainingInfoProto extends ITrainingInfoProto { initializationBinding: IStringStringEntryProto[]; updateBinding: IStringStringEntryProto[]; }

export interface ITensorAnnotation { tensorName?: string | null; quantParameterTensorNames?: IStringStringEntryProto[] | null; $unknowns?: Uint8Array[]; }
export interface TensorAnnotation extends ITensorAnnotation { tensorName: string; quantParameterTensorNames: IStringStringEntryProto[]; }

export interface IDeviceConfigurationProto { name?: string | null; numDevices?: number | null; device?: string[] | null; $unknowns?: Uint8Array[]; }
export interface DeviceConfigurationProto extends IDeviceConfigurationProto { name: string; numDevices: number; device: string[]; }

export interface INodeDeviceConfigurationProto { configurationId?: string | null; shardingSpec?: IShardingSpecProto[] | null; pipelineStage?: number | null; $unknowns?: Uint8Array[]; }
export interface NodeDeviceConfigurationProto extends INodeDeviceConfigurationProto { configurationId: string; shardingSpec: IShardingSpecProto[]; pipelineStage: number; }

export interface IShardingSpecProto { tensorName?: string | null; device?: Int64[] | null; indexToDeviceGroupMap?: IIntIntListEntryProto[] | null; shardedDim?: IShardedDimProto[] | null; $unknowns?: Uint8Array[]; }
export interface ShardingSpecProto extends IShardingSpecProto { tensorName: string; device: Int64[]; indexToDeviceGroupMap: IIntIntListEntryProto[]; shardedDim: IShardedDimProto[]; }

export interface IIntIntListEntryProto { key?: Int64 | null; value?: Int64[] | null; $unknowns?: Uint8Array[]; }
export interface IntIntListEntryProto extends IIntIntListEntryProto { key: Int64; value: Int64[]; }

export interface IShardedDimProto { axis?: Int64 | null; simpleSharding?: ISimpleShardedDimProto[] | null; $unknowns?: Uint8Array[]; }
export interface ShardedDimProto extends IShardedDimProto { axis: Int64; simpleSharding: ISimpleShardedDimProto[]; }

export interface ISimpleShardedDimProto { dimValue?: Int64 | null; dimParam?: string | null; numShards?: Int64 | null; $unknowns?: Uint8Array[]; }
export interface SimpleShardedDimProto extends ISimpleShardedDimProto { dimValue: Int64; dimParam: string; numShards: Int64; }

}

const AttributeType = { UNDEFINED: 0, FLOAT: 1, INT: 2, STRING: 3, TENSOR: 4, GRAPH: 5, FLOATS: 6, INTS: 7, STRINGS: 8, TENSORS: 9, GRAPHS: 10, SPARSE_TENSOR: 11, SPARSE_TENSORS: 12, TYPE_PROTO: 13, TYPE_PROTOS: 14 } as const;
const DataType = { UNDEFINED: 0, FLOAT: 1, UINT8: 2, INT8: 3, UINT16: 4, INT16: 5, INT32: 6, INT64: 7, STRING: 8, BOOL: 9, FLOAT16: 10, DOUBLE: 11, UINT32: 12, UINT64: 13, COMPLEX64: 14, COMPLEX128: 15, BFLOAT16: 16, FLOAT8E4M3FN: 17, FLOAT8E4M3FNUZ: 18, FLOAT8E5M2: 19, FLOAT8E5M2FNUZ: 20, UINT4: 21, INT4: 22, FLOAT4E2M1: 23, FLOAT8E8M0: 24, UINT2: 25, INT2: 26, FLOAT6E2M3: 27, FLOAT6E3M2: 28 } as const;
const DataLocation = { DEFAULT: 0, EXTERNAL: 1 } as const;

interface Types {
readonly StringStringEntryProto: MessageType<onnx.IStringStringEntryProto, onnx.StringStringEntryProto>;
readonly OperatorSetIdProto: MessageType<onnx.IOperatorSetIdProto, onnx.OperatorSetIdProto>;
readonly ModelProto: MessageType<onnx.IModelProto, onnx.ModelProto>;
readonly GraphProto: MessageType<onnx.IGraphProto, onnx.GraphProto>;
readonly NodeProto: MessageType<onnx.INodeProto, onnx.NodeProto>;
readonly AttributeProto: MessageType<onnx.IAttributeProto, onnx.AttributeProto> & { readonly AttributeType: typeof AttributeType; };
readonly TensorProto: MessageType<onnx.ITensorProto, onnx.TensorProto> & { readonly DataType: typeof DataType;
readonly DataLocation: typeof DataLocation;
readonly Segment: MessageType<onnx.TensorProto.ISegment, onnx.TensorProto.Segment>; };
readonly SparseTensorProto: MessageType<onnx.ISparseTensorProto, onnx.SparseTensorProto>;
readonly ValueInfoProto: MessageType<onnx.IValueInfoProto, onnx.ValueInfoProto>;
readonly TensorShapeProto: MessageType<onnx.ITensorShapeProto, onnx.TensorShapeProto> & { readonly Dimension: MessageType<onnx.TensorShapeProto.IDimension, onnx.TensorShapeProto.Dimension>; };
readonly TypeProto: MessageType<onnx.ITypeProto, onnx.TypeProto> & { readonly Tensor: MessageType<onnx.TypeProto.ITensor, onnx.TypeProto.Tensor>;
readonly Sequence: MessageType<onnx.TypeProto.ISequence, onnx.TypeProto.Sequence>;
readonly Map: MessageType<onnx.TypeProto.IMap, onnx.TypeProto.Map>;
readonly Optional: MessageType<onnx.TypeProto.IOptional, onnx.TypeProto.Optional>;
readonly SparseTensor: MessageType<onnx.TypeProto.ISparseTensor, onnx.TypeProto.SparseTensor>;
readonly Opaque: MessageType<onnx.TypeProto.IOpaque, onnx.TypeProto.Opaque>; };
readonly FunctionProto: MessageType<onnx.IFunctionProto, onnx.FunctionProto>;
readonly TrainingInfoProto: MessageType<onnx.ITrainingInfoProto, onnx.TrainingInfoProto>;
readonly TensorAnnotation: MessageType<onnx.ITensorAnnotation, onnx.TensorAnnotation>;
readonly DeviceConfigurationProto: MessageType<onnx.IDeviceConfigurationProto, onnx.DeviceConfigurationProto>;
readonly NodeDeviceConfigurationProto: MessageType<onnx.INodeDeviceConfigurationProto, onnx.NodeDeviceConfigurationProto>;
readonly ShardingSpecProto: MessageType<onnx.IShardingSpecProto, onnx.ShardingSpecProto>;
readonly IntIntListEntryProto: MessageType<onnx.IIntIntListEntryProto, onnx.IntIntListEntryProto>;
readonly ShardedDimProto: MessageType<onnx.IShardedDimProto, onnx.ShardedDimProto>;
readonly SimpleShardedDimProto: MessageType<onnx.ISimpleShardedDimProto, onnx.SimpleShardedDimProto>;
}

const types = defineMessages({
'StringStringEntryProto': [
[1, 'key', 'string'],
[2, 'value', 'string'],
],
'OperatorSetIdProto': [
[1, 'domain', 'string'],
[2, 'version', 'int64'],
],
'ModelProto': [
[1, 'irVersion', 'int64'],
[2, 'producerName', 'string'],
[3, 'producerVersion', 'string'],
[4, 'domain', 'string'],
[5, 'modelVersion', 'int64'],
[6, 'docString', 'string'],
[7, 'graph', 'GraphProto'],
[8, 'opsetImport', 'OperatorSetIdProto', 'repeated'],
[14, 'metadataProps', 'StringStringEntryProto', 'repeated'],
[20, 'trainingInfo', 'TrainingInfoProto', 'repeated'],
[25, 'functions', 'FunctionProto', 'repeated'],
[26, 'configuration', 'DeviceConfigurationProto', 'repeated'],
],
'GraphProto': [
[1, 'node', 'NodeProto', 'repeated'],
[2, 'name', 'string'],
[5, 'initializer', 'TensorProto', 'repeated'],
[10, 'docString', 'string'],
[11, 'input', 'ValueInfoProto', 'repeated'],
[12, 'output', 'ValueInfoProto', 'repeated'],
[13, 'valueInfo', 'ValueInfoProto', 'repeated'],
[14, 'quantizationAnnotation', 'TensorAnnotation', 'repeated'],
[15, 'sparseInitializer', 'SparseTensorProto', 'repeated'],
[16, 'metadataProps', 'StringStringEntryProto', 'repeated'],
],
'NodeProto': [
[1, 'input', 'string', 'repeated'],
[2, 'output', 'string', 'repeated'],
[3, 'name', 'string'],
[4, 'opType', 'string'],
[5, 'attribute', 'AttributeProto', 'repeated'],
[6, 'docString', 'string'],
[7, 'domain', 'string'],
[8, 'overload', 'string'],
[9, 'metadataProps', 'StringStringEntryProto', 'repeated'],
[10, 'deviceConfigurations', 'NodeDeviceConfigurationProto', 'repeated'],
],
'AttributeProto': [
[1, 'name', 'string'],
[2, 'f', 'float'],
[3, 'i', 'int64'],
[4, 's', 'bytes'],
[5, 't', 'TensorProto'],
[6, 'g', 'GraphProto'],
[7, 'floats', 'float', 'repeated'],
[8, 'ints', 'int64', 'repeated'],
[9, 'strings', 'bytes', 'repeated'],
[10, 'tensors', 'TensorProto', 'repeated'],
[11, 'graphs', 'GraphProto', 'repeated'],
[13, 'docString', 'string'],
[14, 'tp', 'TypeProto'],
[15, 'typeProtos', 'TypeProto', 'repeated'],
[20, 'type', 'int32'],
[21, 'refAttrName', 'string'],
[22, 'sparseTensor', 'SparseTensorProto'],
[23, 'sparseTensors', 'SparseTensorProto', 'repeated'],
],
'TensorProto': [
[1, 'dims', 'int64', 'repeated'],
[2, 'dataType', 'int32'],
[3, 'segment', 'TensorProto.Segment'],
[4, 'floatData', 'float', 'packed'],
[5, 'int32Data', 'int32', 'packed'],
[6, 'stringData', 'bytes', 'repeated'],
[7, 'int64Data', 'int64', 'packed'],
[8, 'name', 'string'],
[9, 'rawData', 'bytes'],
[10, 'doubleData', 'double', 'packed'],
[11, 'uint64Data', 'uint64', 'packed'],
[12, 'docString', 'string'],
[13, 'externalData', 'StringStringEntryProto', 'repeated'],
[14, 'dataLocation', 'int32'],
[16, 'metadataProps', 'StringStringEntryProto', 'repeated'],
],
'TensorProto.Segment': [
[1, 'begin', 'int64'],
[2, 'end', 'int64'],
],
'SparseTensorProto': [
[1, 'values', 'TensorProto'],
[2, 'indices', 'TensorProto'],
[3, 'dims', 'int64', 'repeated'],
],
'ValueInfoProto': [
[1, 'name', 'string'],
[2, 'type', 'TypeProto'],
[3, 'docString', 'string'],
[4, 'metadataProps', 'StringStringEntryProto', 'repeated'],
],
'TensorShapeProto': [
[1, 'dim', 'TensorShapeProto.Dimension', 'repeated'],
],
'TensorShapeProto.Dimension': [
[1, 'dimValue', 'int64', '', 'value'],
[2, 'dimParam', 'string', '', 'value'],
[3, 'denotation', 'string'],
],
'TypeProto': [
[1, 'tensorType', 'TypeProto.Tensor', '', 'value'],
[4, 'sequenceType', 'TypeProto.Sequence', '', 'value'],
[5, 'mapType', 'TypeProto.Map', '', 'value'],
[6, 'denotation', 'string'],
[7, 'opaqueType', 'TypeProto.Opaque', '', 'value'],
[8, 'sparseTensorType', 'TypeProto.SparseTensor', '', 'value'],
[9, 'optionalType', 'TypeProto.Optional', '', 'value'],
],
'TypeProto.Tensor': [
[1, 'elemType', 'int32'],
[2, 'shape', 'TensorShapeProto'],
],
'TypeProto.Sequence': [
[1, 'elemType', 'TypeProto'],
],
'TypeProto.Map': [
[1, 'keyType', 'int32'],
[2, 'valueType', 'TypeProto'],
],
'TypeProto.Optional': [
[1, 'elemType', 'TypeProto'],
],
'TypeProto.SparseTensor': [
[1, 'elemType', 'int32'],
[2, 'shape', 'TensorShapeProto'],
],
'TypeProto.Opaque': [
[1, 'domain', 'string'],
[2, 'name', 'string'],
],
'FunctionProto': [
[1, 'name', 'string'],
[4, 'input', 'string', 'repeated'],
[5, 'output', 'string', 'repeated'],
[6, 'attribute', 'string', 'repeated'],
[7, 'node', 'NodeProto', 'repeated'],
[8, 'docString', 'string'],
[9, 'opsetImport', 'OperatorSetIdProto', 'repeated'],
[10, 'domain', 'string'],
[11, 'attributeProto', 'AttributeProto', 'repeated'],
[12, 'valueInfo', 'ValueInfoProto', 'repeated'],
[13, 'overload', 'string'],
[14, 'metadataProps', 'StringStringEntryProto', 'repeated'],
],
'TrainingInfoProto': [
[1, 'initialization', 'GraphProto'],
[2, 'algorithm', 'GraphProto'],
[3, 'initializationBinding', 'StringStringEntryProto', 'repeated'],
[4, 'updateBinding', 'StringStringEntryProto', 'repeated'],
],
'TensorAnnotation': [
[1, 'tensorName', 'string'],
[2, 'quantParameterTensorNames', 'StringStringEntryProto', 'repeated'],
],
'DeviceConfigurationProto': [
[1, 'name', 'string'],
[2, 'numDevices', 'int32'],
[3, 'device', 'string', 'repeated'],
],
'NodeDeviceConfigurationProto': [
[1, 'configurationId', 'string'],
[2, 'shardingSpec', 'ShardingSpecProto', 'repeated'],
[3, 'pipelineStage', 'int32'],
],
'ShardingSpecProto': [
[1, 'tensorName', 'string'],
[2, 'device', 'int64', 'repeated'],
[3, 'indexToDeviceGroupMap', 'IntIntListEntryProto', 'repeated'],
[4, 'shardedDim', 'ShardedDimProto', 'repeated'],
],
'IntIntListEntryProto': [
[1, 'key', 'int64'],
[2, 'value', 'int64', 'repeated'],
],
'ShardedDimProto': [
[1, 'axis', 'int64'],
[2, 'simpleSharding', 'SimpleShardedDimProto', 'repeated'],
],
'SimpleShardedDimProto': [
[1, 'dimValue', 'int64', '', 'dim'],
[2, 'dimParam', 'string', '', 'dim'],
[3, 'numShards', 'int64'],
],
});
Object.assign(types['AttributeProto'] as object, { AttributeType });
Object.assign(types['TensorProto'] as object, { DataType });
Object.assign(types['TensorProto'] as object, { DataLocation });

export const onnx = types as unknown as Types;
