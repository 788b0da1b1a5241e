/** The contract of a surgery: one file, one edit of the graph. */

import { PreconditionError } from '../errors.ts';
import type { Model } from '../model/model.ts';
import type { Value } from '../model/value.ts';
import type { Gates } from './gates.ts';
import { type OptionTable, type OptionValues, parseOptions } from './options.ts';

/** A node the surgery could have worked on but did not, and why. */
export interface Decline {
  readonly node: string;
  readonly reason: string;
}

/** One thing the surgery did. */
export interface Change {
  readonly node: string;
  readonly what: string;
}

/** What a surgery did to a model. Nothing in `changes` means the model is as it was. */
export interface SurgeryResult {
  readonly changes: readonly Change[];
  readonly declined: readonly Decline[];
  /** Things a user should know though nothing failed. */
  readonly warnings: readonly string[];
  /** Float weights that were quantized. The run tells when one is still read at its end, and so stored as well. */
  readonly quantized?: readonly Value[];
}

/** A surgery as its file declares it; see {@link defineSurgery}. */
export interface SurgeryDefinition<O extends OptionTable> {
  /** File name and command-line name. */
  readonly name: string;
  /** Other names that recipes may use, such as Olive's class names. */
  readonly aliases?: readonly string[];
  /** More such names, and the options each of them means. */
  readonly presets?: Readonly<Record<string, Partial<OptionValues<O>>>>;
  readonly summary: string;
  readonly options: O;
  /** Throws a UsageError for options that do not go together. */
  readonly check?: (options: OptionValues<O>) => void;
  /** Throws a PreconditionError when the surgery cannot run on this model at all. */
  readonly requires?: (model: Model, options: OptionValues<O>) => void;
  /** Edits the graph and assigns derivations; reads no bytes but through `gates`. */
  readonly apply: (
    model: Model,
    options: OptionValues<O>,
    gates: Gates,
  ) => SurgeryResult | Promise<SurgeryResult>;
  /** Cheap invariants of the result; throws when the surgery itself is wrong. */
  readonly ensures?: (model: Model) => void;
}

/** A surgery with its options type erased, ready to run. */
export interface Surgery {
  readonly name: string;
  /** All other names. */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly options: OptionTable;
  /** This surgery as one of its names means it: options that are not given are those of the name. */
  named(alias: string): Surgery;
  /** Throws a UsageError for options the surgery does not have or values it does not take. */
  check(options: Readonly<Record<string, unknown>>): void;
  run(
    model: Model,
    options: Readonly<Record<string, unknown>>,
    gates: Gates,
  ): Promise<SurgeryResult>;
}

/** Makes a runnable surgery of its definition: requires → apply → ensures. */
export function defineSurgery<O extends OptionTable>(definition: SurgeryDefinition<O>): Surgery {
  const { name, summary, options } = definition;
  const parse = (given: Readonly<Record<string, unknown>>) => {
    const values = parseOptions(options, given, `surgery ${name}`);
    definition.check?.(values);
    return values;
  };
  const presets = definition.presets ?? {};
  const surgery: Surgery = {
    name,
    aliases: [...(definition.aliases ?? []), ...Object.keys(presets)],
    summary,
    options,
    named(alias) {
      const preset = presets[alias];
      if (preset === undefined) return surgery;
      return {
        ...surgery,
        check: (given) => surgery.check({ ...preset, ...given }),
        run: (model, given, gates) => surgery.run(model, { ...preset, ...given }, gates),
      };
    },
    check(given) {
      parse(given);
    },
    async run(model, given, gates) {
      const values = parse(given);
      definition.requires?.(model, values);
      const result = await definition.apply(model, values, gates);
      definition.ensures?.(model);
      return result;
    },
  };
  return surgery;
}

/** An error for `requires`: the surgery, and what the model lacks. */
export function precondition(surgery: string, message: string, hint?: string): PreconditionError {
  return new PreconditionError(
    'ERR_PRECONDITION',
    `${surgery}: ${message}`,
    hint === undefined ? {} : { hint },
  );
}
