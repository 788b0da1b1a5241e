/** Where the values of an output are that its messages do not tell: for the encoder, and for whoever fills the gaps. */

import { withLength } from '../bytes.ts';
import { tensorPlace } from '../proto/deferred.ts';
import type { TensorPlace, TensorPlaces } from '../proto/model-writer.ts';
import type { onnx } from '../proto/onnx.ts';
import type { PlannedTensors } from './planned-tensors.ts';
import { payloadLength, type TensorPayload } from './runs.ts';
import { entriesOf, holds, staysWith } from './tensor-fields.ts';

/** Numbers of tensors by their messages. Memory: 8 bytes a message that is on a tape. */
class MessageNumbers {
  #places = new Int32Array(1024);
  #numbers = new Int32Array(1024);
  #count = 0;
  #isOrdered = true;
  /** Where the last one that was asked for is: the next is behind it, as a rule. */
  #cursor = -1;
  /** Of messages that were made, or decoded at once. */
  readonly #others = new Map<onnx.ITensorProto, number>();

  get size(): number {
    return this.#count + this.#others.size;
  }

  /** Adds a message that is not there yet. */
  add(message: onnx.ITensorProto, number: number): void {
    const place = tensorPlace(message);
    if (place === undefined) {
      this.#others.set(message, number);
      return;
    }
    if (this.#count === this.#places.length) {
      this.#places = withLength(this.#places, 2 * this.#count);
      this.#numbers = withLength(this.#numbers, 2 * this.#count);
    }
    const last = this.#places[this.#count - 1] ?? -1;
    this.#isOrdered &&= place > last;
    this.#places[this.#count] = place;
    this.#numbers[this.#count++] = number;
  }

  get(message: onnx.ITensorProto): number | undefined {
    const place = tensorPlace(message);
    if (place === undefined) return this.#others.get(message);
    if (!this.#isOrdered) this.#sort();
    const next = this.#cursor + 1;
    const isNext = next < this.#count && this.#places[next] === place;
    const at = isNext ? next : this.#find(place);
    if (at === undefined) return undefined;
    this.#cursor = at;
    return this.#numbers[at];
  }

  #find(place: number): number | undefined {
    let [low, high] = [0, this.#count];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] as number) < place) low = middle + 1;
      else high = middle;
    }
    return low < this.#count && this.#places[low] === place ? low : undefined;
  }

  /** Graphs within graphs are met in another order than they lie on the tape. */
  #sort(): void {
    const [places, numbers] = [this.#places, this.#numbers];
    const order = Int32Array.from({ length: this.#count }, (_, index) => index);
    order.sort((a, b) => (places[a] as number) - (places[b] as number));
    this.#places = order.map((at) => places[at] as number);
    this.#numbers = order.map((at) => numbers[at] as number);
    this.#isOrdered = true;
  }
}

/** What is written otherwise than the messages say: values of data files, and what goes inside the `.onnx`. */
export class ChangedPlaces implements TensorPlaces {
  readonly #tensors: PlannedTensors;
  /** Numbers of those in data files from 0 up, of those inside, among all tensors, from -1 down. */
  readonly #numbers = new MessageNumbers();

  constructor(tensors: PlannedTensors) {
    this.#tensors = tensors;
    let number = 0;
    let external = 0;
    for (const { named, placement } of tensors) {
      const { peeked, data } = named.tensor;
      if (placement.kind === 'external') {
        if (!staysWith(named.tensor, placement)) this.#numbers.add(peeked, external);
        external++;
      } else if (placement.kind !== 'proto' && data.kind !== 'proto') {
        const isSame = data.kind === 'inline' && holds(peeked, data);
        if (!isSame) this.#numbers.add(peeked, -1 - number);
      }
      number++;
    }
  }

  get size(): number {
    return this.#numbers.size;
  }

  get(message: onnx.ITensorProto): TensorPlace | undefined {
    const number = this.#numbers.get(message);
    if (number === undefined) return undefined;
    if (number >= 0) return entriesOf(this.#tensors.placeOf(number));
    const payload = this.#tensors.payload(-1 - number);
    return payload && payloadLength(payload.data);
  }

  /** The payload that goes inside for the tensor of a message. */
  payloadOf(message: onnx.ITensorProto): TensorPayload | undefined {
    const number = this.#numbers.get(message);
    return number === undefined || number >= 0 ? undefined : this.#tensors.payload(-1 - number);
  }
}
