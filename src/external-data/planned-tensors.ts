/** The tensors of an output: described again each time, since most of a million stay where they are. Pure. */

import type { NamedTensor, NumberedTensors } from '../model/initializers.ts';
import type { Tensor } from '../model/tensor.ts';
import { type Home, type HomedPayloads, homedTensor, tensorAt } from './homes.ts';
import type { PlacedRuns } from './placed-runs.ts';
import { payloadAt, payloadLength, type TensorPayload } from './runs.ts';
import type { ExternalPlace } from './tensor-fields.ts';

/** Where a tensor's bytes are in the output. */
export type Placement =
  | { readonly kind: 'proto' }
  | { readonly kind: 'inline'; readonly byteLength: number }
  | { readonly kind: 'embedded'; readonly byteLength: number }
  | {
      readonly kind: 'external';
      readonly file: string;
      readonly byteOffset: number;
      readonly byteLength: number;
    };

/** One tensor of the output. */
export interface PlannedTensor {
  readonly named: NamedTensor;
  readonly placement: Placement;
}

/** Every tensor of a plan, in the order of the model, which must stay as it was planned. */
export class PlannedTensors implements Iterable<PlannedTensor> {
  readonly #tensors: NumberedTensors;
  readonly #homeOf: (tensor: Tensor) => Home;
  readonly #external: HomedPayloads;
  readonly #placed: PlacedRuns;

  /** @param external those that go to data files, which `placed` has the places of */
  constructor(
    tensors: NumberedTensors,
    homeOf: (tensor: Tensor) => Home,
    external: HomedPayloads,
    placed: PlacedRuns,
  ) {
    this.#tensors = tensors;
    this.#homeOf = homeOf;
    this.#external = external;
    this.#placed = placed;
  }

  *[Symbol.iterator](): Generator<PlannedTensor> {
    let nextPart = 0;
    for (let number = 0; number < this.#tensors.length; number++) {
      const named = tensorAt(this.#tensors, number);
      const home = this.#homeOf(named.tensor);
      if (home.kind === 'proto') yield { named, placement: home };
      else if (home.kind === 'external') {
        const place = this.#placed.placeOf(nextPart++, payloadLength(home.data));
        yield { named, placement: { kind: home.kind, ...place } };
      } else {
        const byteLength = named.tensor.byteLength ?? 0;
        yield { named, placement: { kind: home.kind, byteLength } };
      }
    }
  }

  /** Where number `index` of those in data files is. */
  placeOf(index: number): ExternalPlace {
    return this.#placed.placeOf(index, payloadLength(payloadAt(this.#external, index).data));
  }

  /** What tensor `number` of them all has for its payload. */
  payload(number: number): TensorPayload | undefined {
    return homedTensor(this.#tensors, this.#homeOf, number);
  }
}
