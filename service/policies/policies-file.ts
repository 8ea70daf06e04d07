/** Policies of a store that keeps none: one JSON file, `{"<policy id>": {…policy}}`. Read again at each use, so an edit holds at once. */
import { readFile, stat } from "node:fs/promises";
import { ConfigError } from "../config.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PolicyDocs, RecordDoc } from "../stores/store.ts";
import { readPolicy } from "./policy-rules.ts";

const MAX_FILE_BYTES = 1 << 20;
/** As {@link PolicyDocs.byPrincipal} promises. */
const MAX_FOUND = 3;

/** A file that cannot be read is 403 `policy_denied` for everybody, with a line in the log. */
export class PoliciesFile implements PolicyDocs {
  readonly #path: string;
  readonly #log: Logger;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  async byId(id: string): Promise<RecordDoc | null> {
    return (await this.#all()).find((each) => each.id === id)?.doc ?? null;
  }

  async byPrincipal(principal: string): Promise<{ id: string; doc: RecordDoc }[]> {
    const all = await this.#all();
    const lists = ({ doc }: { doc: RecordDoc }) =>
      Array.isArray(doc.principal_ids) && doc.principal_ids.includes(principal);
    return all.filter(lists).slice(0, MAX_FOUND);
  }

  async #all(): Promise<{ id: string; doc: RecordDoc }[]> {
    try {
      return await readDocs(this.#path);
    } catch (error) {
      this.#log.error({ err: error, file: this.#path }, "the policies cannot be read, so nobody may act under one");
      throw new Refusal("policy_denied", "the proxy's policies cannot be read; its log says why");
    }
  }
}

/** Throws a {@link ConfigError} with one sentence when the file or a policy of it is wrong: a start should say so. */
export async function checkPoliciesFile(path: string, vendors: ReadonlyMap<string, BudgetVendor>): Promise<void> {
  const docs = await readDocs(path).catch((error: Error) => {
    throw new ConfigError([
      `KEYBRAKE_POLICIES: ${path} cannot be read (${error.message}); name a JSON file of policies.`,
    ]);
  });
  for (const { id, doc } of docs) {
    const read = readPolicy(id, doc, vendors);
    if ("fault" in read)
      throw new ConfigError([`KEYBRAKE_POLICIES: in ${path} the policy ${id} is wrong: ${read.fault}.`]);
  }
}

async function readDocs(path: string): Promise<{ id: string; doc: RecordDoc }[]> {
  const { size } = await stat(path);
  if (size > MAX_FILE_BYTES) throw new Error(`it is over ${MAX_FILE_BYTES} bytes`);
  const all: unknown = JSON.parse(await readFile(path, "utf8"));
  if (!isObject(all)) throw new Error("it is no JSON object of policies by their ids");
  return Object.entries(all).map(([id, doc]) => ({ id, doc: isObject(doc) ? doc : {} }));
}

function isObject(value: unknown): value is RecordDoc {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
