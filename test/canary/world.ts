/** A real proxy with canaries for secrets, a vendor that echoes them, and a record of every byte that came out. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { Upstream } from "../support/upstream.ts";

/** Characters that every encoding treats in its own way. */
export const stripeSecret = "sk_test_C4n/aRy+51HqZ=9x7TnVwK~e&Lb%2FsW0u";
export const twilioAccount = "AC0123456789abcdef0123456789abcdef";
export const twilioToken = "7c4nARYt0kenQx9Zp3Lm5Vb8";
export const adminKey = "4dm1n-C4nARY/kEy+Zq81=hTnVw-KeLbsW0u";
/** 32 bytes as hex digits, as they stand in the pepper's file. */
export const pepper = "c4a71b90e3d85f26a1b2c3d4e5f60718293a4b5c6d7e8f901f2e3d4c5b6a7988";

export interface Kept {
  what: string;
  bytes: Buffer;
}

export interface Asked {
  kept: Kept;
  body: string;
}

export class CanaryWorld {
  readonly vendor: Upstream;
  readonly proxy: RunningProxy;
  /** Answers to `POST /vault/keys`: the one place where a vault key may be. */
  readonly issued: Kept[] = [];
  readonly answers: Kept[] = [];
  readonly logs: Kept[] = [];
  readonly #pepperFolder: string;

  private constructor(vendor: Upstream, proxy: RunningProxy, pepperFolder: string) {
    this.vendor = vendor;
    this.proxy = proxy;
    this.#pepperFolder = pepperFolder;
  }

  static async start(): Promise<CanaryWorld> {
    const vendor = await Upstream.start();
    // Beside the store it would be one of the searched files.
    const folder = mkdtempSync(join(tmpdir(), "keybrake-canary-"));
    const file = join(folder, "pepper");
    writeFileSync(file, `v1:${pepper}\n`, { mode: 0o600 });
    const proxy = await startProxy({
      vendors: {
        stripe: { url: vendor.url, secret: stripeSecret },
        twilio: { url: vendor.url, secret: `${twilioAccount}:${twilioToken}` },
      },
      env: { KEYBRAKE_PEPPER: `file:${file}` },
      adminKey,
    });
    return new CanaryWorld(vendor, proxy, folder);
  }

  /** One request on a connection of its own; every byte of the answer is kept, and its body once more without framing. */
  async ask(what: string, bytes: string): Promise<Asked> {
    const client = await RawSocket.open(this.proxy.port);
    const raw: Buffer[] = [];
    client.socket.on("data", (chunk: Buffer) => raw.push(chunk));
    client.send(bytes);
    const answer = await client.answer();
    await client.untilClosed();
    const body = answer?.body ?? Buffer.alloc(0);
    const kept = { what, bytes: Buffer.concat([...raw, newLine, body]) };
    this.answers.push(kept);
    return { kept, body: body.toString("utf8") };
  }

  /** The control plane with the admin key. */
  async admin(method: string, target: string, body: unknown = null, accept = "application/json"): Promise<Asked> {
    const bytes = request(method, target, adminKey, body === null ? "" : JSON.stringify(body), [
      `accept: ${accept}`,
      ...(body === null ? [] : ["content-type: application/json"]),
    ]);
    return this.ask(`${method} ${target} as ${accept}`, bytes);
  }

  /** @returns the vault key's text. */
  async issue(body: Record<string, unknown>): Promise<{ keyId: string; vaultKey: string }> {
    const { kept, body: text } = await this.admin("POST", "/vault/keys", {
      ...{ expires_in: "1h", allowed_endpoints: ["*"] },
      ...body,
    });
    this.answers.splice(this.answers.indexOf(kept), 1);
    this.issued.push(kept);
    const json = JSON.parse(text) as Record<string, string>;
    return { keyId: json.key_id!, vaultKey: json.vault_key! };
  }

  /** What the process of this moment wrote, before it goes. */
  keepLogs(what: string): void {
    this.logs.push({ what, bytes: Buffer.from(this.proxy.logs().join("\n")) });
  }

  /** The database as it lies on the disk: its file, the write-ahead log, and whatever stands beside them. */
  files(): Kept[] {
    const { directory } = this.proxy;
    return readdirSync(directory).map((name) => ({ what: name, bytes: readFileSync(join(directory, name)) }));
  }

  /** Every row of every table: a value may lie in pieces in the file. Needs the proxy to be gone. */
  rows(): Kept[] {
    const database = new DatabaseSync(this.proxy.storeFile, { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const kept = tables.map(({ name }) => {
      const rows = database.prepare(`SELECT * FROM "${String(name)}"`).all();
      const values = rows.flatMap((row) => Object.values(row).map((value) => bytesOf(value)));
      return { what: `table ${String(name)}`, bytes: Buffer.concat(values.flatMap((value) => [value, newLine])) };
    });
    database.close();
    return kept;
  }

  async stop(): Promise<void> {
    await this.proxy.stop();
    await this.vendor.stop();
    rmSync(this.#pepperFolder, { recursive: true, force: true });
  }
}

const newLine = Buffer.from("\n");

function bytesOf(value: unknown): Buffer {
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.from(String(value));
}

export function request(method: string, target: string, bearer: string, body: string, more: string[] = []): string {
  const lines = [
    `${method} ${target} HTTP/1.1`,
    "host: proxy",
    "connection: close",
    `authorization: Bearer ${bearer}`,
    ...more,
  ];
  if (body !== "") lines.push(`content-length: ${Buffer.byteLength(body)}`);
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

export const form = (target: string, vaultKey: string, body: string, more: string[] = []): string =>
  request("POST", target, vaultKey, body, ["content-type: application/x-www-form-urlencoded", ...more]);
