/**
 * An imitation of Google Cloud behind the test's provider: what exists, by id. It refuses what Google refuses
 * (the same thing twice, deleting what is protected) and makes up what Google adds.
 */
import { type GoogleResource, googleResources } from "./resources.ts";
import { outputsOf, type Shape } from "./types.ts";
import { plain, UNKNOWN } from "./wire.ts";

type Values = Record<string, unknown>;

export class ImitatedCloud {
  readonly #existing = new Map<string, Values>();
  readonly #project: string;
  #assigned = 0;

  constructor(project: string) {
    this.#project = project;
  }

  /** State at preview: what Google would add is not known yet. */
  planned(token: string, inputs: Values): Values {
    const added = [...outputsOf(token)].filter(([name]) => !(name in inputs)).map(([name]) => [name, UNKNOWN]);
    return { ...Object.fromEntries(added), ...inputs };
  }

  create(token: string, inputs: Values): { id: string; state: Values } {
    const { fixed, assigned } = resourceOf(token);
    const identity = fixed.map((name) => JSON.stringify(plain(inputs[name])) ?? "").join("/");
    const id = assigned ? `${token}#${++this.#assigned}` : `${token}/${identity}`;
    if (this.#existing.has(id)) throw new Error(`409 ALREADY_EXISTS: ${id} exists`);
    const state = this.#stateOf(token, inputs);
    this.#existing.set(id, state);
    return { id, state };
  }

  update(token: string, id: string, inputs: Values): Values {
    const before = this.read(id);
    if (!before) throw new Error(`404 NOT_FOUND: ${id}`);
    const state = { ...this.#stateOf(token, inputs) };
    this.#existing.set(id, state);
    return state;
  }

  read(id: string): Values | undefined {
    return this.#existing.get(id);
  }

  /** As every resource's `deletionPolicy` says: `ABANDON` leaves the thing where it is. */
  delete(token: string, id: string): void {
    const state = this.#existing.get(id);
    if (!state) throw new Error(`404 NOT_FOUND: ${id}`);
    const { deletionPolicy } = state;
    if (deletionPolicy === "PREVENT") throw new Error(`cannot destroy ${id}: its deletionPolicy is PREVENT`);
    if (deletionPolicy === "ABANDON") return;
    const refusal = resourceOf(token).refusesDelete?.(plainly(state));
    if (refusal) throw new Error(refusal);
    this.#existing.delete(id);
  }

  /** Ids of all that exists, of one type or of every. */
  ids(token = ""): string[] {
    return [...this.#existing.keys()].filter((id) => id.startsWith(token));
  }

  #stateOf(token: string, inputs: Values): Values {
    const project = typeof inputs.project === "string" ? inputs.project : this.#project;
    const madeUp = [...outputsOf(token)]
      .filter(([, { required }]) => required)
      .map(([name, { shape }]) => [name, madeUpValue(name, shape)]);
    const added = resourceOf(token).adds?.(plainly(inputs), project);
    return { ...Object.fromEntries(madeUp), project, ...added, ...inputs };
  }
}

/** @throws for a type that the test's provider was not taught. */
export function resourceOf(token: string): GoogleResource {
  const known = googleResources[token];
  if (!known) throw new Error(`The test's provider does not know ${token}: add it to test/engine/gcp/resources.ts`);
  return known;
}

function plainly(values: Values): Values {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, plain(value)]));
}

function madeUpValue(name: string, shape: Shape): unknown {
  switch (shape.kind) {
    case "string":
      return name === "deletionPolicy" ? "DELETE" : `made-up-${name}`;
    case "number":
      return 0;
    case "boolean":
      return false;
    case "list":
      return [];
    case "map":
      return {};
    default:
      return undefined;
  }
}
