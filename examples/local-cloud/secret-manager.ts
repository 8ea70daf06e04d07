/**
 * A local Secret Manager: the REST of secrets and versions, as https://cloud.google.com/secret-manager/docs/reference/rest documents it
 * (read 2026-11). Limit: Google publishes no emulator, so nothing shows that its answers are these: no IAM, no replication, no etags, and
 * listings are current, which Google's need not be.
 */
import { setTimeout as delay } from "node:timers/promises";
import crc32c from "crc-32/crc32c.js";
import { googleError, type LocalAnswer, type LocalApi, type LocalRequest } from "./local-api.ts";

type State = "ENABLED" | "DISABLED" | "DESTROYED";

const stateNumbers: Record<State, number> = { ENABLED: 1, DISABLED: 2, DESTROYED: 3 };

interface Version {
  state: State;
  data: Buffer;
  createdAt: string;
}

/** How one of the next requests ends. */
export type SecretFault =
  | { answer: number }
  /** This answer, whatever was asked. */
  | { instead: LocalAnswer }
  | "reset"
  /** It is answered rightly, so much later. */
  | { delayMs: number }
  /** The value does not fit its sum. */
  | "damage";

export interface SecretRequest {
  method: string;
  /** `versions/latest:access` of `projects/p/secrets/s`. */
  secret: string;
  act: string;
  authorization: string | undefined;
}

const secretPath = /^\/v1\/(projects\/[^/]+\/secrets\/[^/:]+)(?:\/versions)?(?:\/([^/:]+))?(?::([A-Za-z]+))?$/;

export class LocalSecretManager {
  readonly #secrets = new Map<string, { createdAt: string; versions: Version[] }>();
  readonly #faults: SecretFault[] = [];
  readonly received: SecretRequest[] = [];
  /** Awaited before each request is looked at: for tests that set the order of things. */
  before: (request: SecretRequest) => Promise<void> = async () => {};

  /** For `serveLocalApis`. */
  readonly api: LocalApi = async (request) => {
    const act = this.#actOf(request);
    if (!act) return null;
    const { authorization } = request.headers;
    const seen = { method: request.method, secret: act.secret, act: act.name, authorization };
    this.received.push(seen);
    await this.before(seen);
    const fault = this.#faults.shift();
    if (fault === "reset") return { reset: true };
    if (typeof fault === "object" && "answer" in fault) return googleError(fault.answer, "so the test asked");
    if (typeof fault === "object" && "instead" in fault) return fault.instead;
    if (typeof fault === "object") await delay(fault.delayMs);
    return act.answer(fault === "damage");
  };

  /** Makes the secret (`projects/P/secrets/S`) when there is none. @returns the version's number. */
  addVersion(secret: string, value: string | Buffer): number {
    const { versions } = this.createSecret(secret);
    versions.push({ state: "ENABLED", data: Buffer.from(value), createdAt: new Date().toISOString() });
    return versions.length;
  }

  createSecret(secret: string): { versions: Version[] } {
    const known = this.#secrets.get(secret) ?? { createdAt: new Date().toISOString(), versions: [] };
    this.#secrets.set(secret, known);
    return known;
  }

  setState(secret: string, version: number, state: State): void {
    const found = this.#secrets.get(secret)?.versions[version - 1];
    if (!found) throw new Error(`there is no version ${version} of ${secret}`);
    found.state = state;
    if (state === "DESTROYED") found.data = Buffer.alloc(0);
  }

  /** Values of all versions, oldest first. */
  values(secret: string): string[] {
    return (this.#secrets.get(secret)?.versions ?? []).map(({ data }) => data.toString());
  }

  failNext(...faults: SecretFault[]): void {
    this.#faults.push(...faults);
  }

  /** Forgets the faults that nobody met. */
  recover(): void {
    this.#faults.length = 0;
  }

  #actOf(request: LocalRequest): { secret: string; name: string; answer: (damage: boolean) => LocalAnswer } | null {
    const { method, path, query } = request;
    const project = /^\/v1\/(projects\/[^/]+)\/secrets$/.exec(path)?.[1];
    if (project && method === "GET") return { secret: project, name: "list", answer: () => this.#list(project) };
    if (project && method === "POST") {
      const secret = `${project}/secrets/${query.get("secretId")}`;
      return { secret, name: "create", answer: () => this.#create(secret) };
    }
    const [, secret, version, verb] = secretPath.exec(path) ?? [];
    if (!secret) return null;
    const numeric = query.get("$alt") === "json;enum-encoding=int";
    const done = (name: string, answer: (damage: boolean) => LocalAnswer) => ({ secret, name, answer });
    if (method === "POST" && verb === "addVersion") {
      return done("addVersion", () => this.#add(secret, request.body, numeric));
    }
    if (method === "GET" && version && verb === "access") {
      return done(`versions/${version}:access`, (damage) => this.#access(secret, version, damage));
    }
    if (method === "GET" && path.endsWith("/versions")) {
      return done("versions.list", () => this.#versions(secret, query.get("filter"), numeric));
    }
    if (method === "POST" && !version && verb === "testIamPermissions") {
      return done("testIamPermissions", () => this.#permissions(secret, request.body));
    }
    if (method === "GET" && !version && !verb) return done("get", () => this.#get(secret));
    return null;
  }

  #list(project: string): LocalAnswer {
    const secrets = [...this.#secrets].filter(([name]) => name.startsWith(`${project}/`));
    return {
      status: 200,
      json: { secrets: secrets.map(([name, each]) => described(name, each)), totalSize: secrets.length },
    };
  }

  #get(secret: string): LocalAnswer {
    const found = this.#secrets.get(secret);
    return found ? { status: 200, json: described(secret, found) } : notFound(secret);
  }

  /** Every caller may do everything; of a secret that is not there Google answers none, rather than 404. */
  #permissions(secret: string, body: unknown): LocalAnswer {
    const { permissions = [] } = body as { permissions?: string[] };
    return { status: 200, json: this.#secrets.has(secret) ? { permissions } : {} };
  }

  #create(secret: string): LocalAnswer {
    if (this.#secrets.has(secret)) return googleError(409, `Secret [${secret}] already exists.`);
    this.createSecret(secret);
    return this.#get(secret);
  }

  #add(secret: string, body: unknown, numeric: boolean): LocalAnswer {
    if (!this.#secrets.has(secret)) return notFound(secret);
    const { payload } = body as { payload?: { data?: string; dataCrc32c?: string } };
    const data = Buffer.from(payload?.data ?? "", "base64");
    if (payload?.dataCrc32c !== undefined && Number(payload.dataCrc32c) !== crc32c.buf(data) >>> 0) {
      return googleError(400, "The payload does not fit data_crc32c.");
    }
    const number = this.addVersion(secret, data);
    return {
      status: 200,
      json: describedVersion(secret, number, this.#secrets.get(secret)!.versions[number - 1]!, numeric),
    };
  }

  #access(secret: string, version: string, damage: boolean): LocalAnswer {
    const versions = this.#secrets.get(secret)?.versions ?? [];
    const number = version === "latest" ? versions.length : Number(version);
    const found = versions[number - 1];
    const name = `${secret}/versions/${version === "latest" ? version : number}`;
    if (!found) return googleError(404, `Secret Version [${name}] not found.`);
    if (found.state !== "ENABLED") {
      const message = `Secret Version [${secret}/versions/${number}] is in ${found.state} state.`;
      return { status: 400, json: { error: { code: 400, message, status: "FAILED_PRECONDITION" } } };
    }
    const data = damage ? Buffer.concat([found.data, Buffer.from("x")]) : found.data;
    const payload = { data: data.toString("base64"), dataCrc32c: String(crc32c.buf(found.data) >>> 0) };
    return { status: 200, json: { name: `${secret}/versions/${number}`, payload } };
  }

  #versions(secret: string, filter: string | null, numeric: boolean): LocalAnswer {
    const found = this.#secrets.get(secret);
    if (!found) return notFound(secret);
    const wanted = /^state:(\w+)$/.exec(filter ?? "")?.[1];
    const versions = found.versions
      .map((each, index) => ({ each, number: index + 1 }))
      .filter(({ each }) => wanted === undefined || each.state === wanted)
      .map(({ each, number }) => describedVersion(secret, number, each, numeric));
    return { status: 200, json: { versions: versions.reverse(), totalSize: versions.length } };
  }
}

const notFound = (secret: string): LocalAnswer => googleError(404, `Secret [${secret}] not found.`);

const described = (name: string, { createdAt }: { createdAt: string }) => ({
  name,
  replication: { automatic: {} },
  createTime: createdAt,
});

const describedVersion = (secret: string, number: number, { state, createdAt }: Version, numeric: boolean) => ({
  name: `${secret}/versions/${number}`,
  createTime: createdAt,
  state: numeric ? stateNumbers[state] : state,
  replicationStatus: { automatic: {} },
});
