/**
 * A control plane on a real socket with real policies, ledger, launch and claim, over a store in memory and a Cloud Run that holds what a
 * test puts into it. Limit: whoever calls is told by an unsigned token of the form of an ID token; signatures are tested with identities.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemRandom } from "../../service/clock.ts";
import { adminKeyWay, hashAdminKey } from "../../service/control/admin-key.ts";
import { buildControl } from "../../service/control/control.ts";
import { Issuers } from "../../service/control/issuers.ts";
import { type Authenticate, accountPrincipal } from "../../service/control/principal.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { KeyState } from "../../service/ledger/types.ts";
import { createLogger } from "../../service/log.ts";
import { Policies } from "../../service/policies/policies.ts";
import { pepperInMemory } from "../../service/secrets/pepper.ts";
import { type CloudRun, CloudRunUnavailable, type Execution, type JobName } from "../../service/setup/cloud-run.ts";
import { openSetup } from "../../service/setup/open-setup.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { ADMIN_KEY, ManualClock, resend, stripe } from "../control/harness.ts";
import { type Doc, jobDoc, MemoryPolicies, policyDoc, SCHEDULER, TASKS } from "../policies/fixture.ts";
import { type ControlAnswer, ControlClient } from "../support/control-client.ts";

export const AUDIENCE = "keybrake/my-project/us-central1/keybrake";
export const OTHER_TASKS = "reports@my-project.iam.gserviceaccount.com";
/** The account that Twilio's real secret belongs to, and the secret itself. */
export const TWILIO_ACCOUNT = `AC${"0".repeat(32)}`;
const TWILIO_SECRET = `${TWILIO_ACCOUNT}:canary-twilio-token`;
const DAY_MS = 86_400_000;

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
export const tokenOf = (email: string, audience: string): string =>
  `${part({ alg: "RS256" })}.${part({ email, aud: audience })}.c2lnbmF0dXJl`;

export class HeldCloudRun implements CloudRun {
  readonly executions: Execution[] = [];
  /** The next reads throw. */
  unavailable = false;
  /** What was asked for, in order. */
  readonly asked: (JobName & { execution: string })[] = [];

  /** An execution that runs; started without us unless told otherwise. */
  add(name: string, more: Partial<Execution> = {}): Execution {
    const job = name.replace(/-[a-z0-9]+$/, "");
    const made = { name, job, serviceAccount: TASKS, completed: false, runId: null, createdAt: 0, ...more };
    this.executions.push(made);
    return made;
  }

  async run(job: JobName, overrides: readonly { env: Readonly<Record<string, string>> }[]) {
    const runId = overrides[0]?.env.KEYBRAKE_RUN_ID ?? null;
    const { name } = this.add(`${job.job}-${String(this.executions.length + 1).padStart(5, "0")}`, { runId });
    return { kind: "started" as const, execution: name };
  }

  async execution(job: JobName, execution: string): Promise<Execution | null> {
    this.asked.push({ ...job, execution });
    if (this.unavailable) throw new CloudRunUnavailable("Cloud Run answers 503.");
    return this.executions.find(({ name }) => name === execution) ?? null;
  }

  async executionsSince(job: JobName, since: number): Promise<Execution[]> {
    if (this.unavailable) throw new CloudRunUnavailable("Cloud Run answers 503.");
    return this.executions.filter((each) => each.job === job.job && each.createdAt >= since).reverse();
  }
}

export interface ClaimWorld {
  url: string;
  clock: ManualClock;
  store: MemoryStore;
  ledger: Ledger;
  cloudRun: HeldCloudRun;
  policies: MemoryPolicies;
  vaultKeys: VaultKeys;
  logged: string[];
  /** As the holder of the admin key. */
  admin: ControlClient;
  /** As an account that Google vouches for. */
  as(email: string): ControlClient;
  claim(email: string, job: string, execution: string): Promise<ControlAnswer>;
  keys(): Promise<KeyState[]>;
  close(): Promise<void>;
}

const other = { project: "my-project", location: "us-central1", service_account: OTHER_TASKS };
export const otherJob = (more: Doc = {}): Doc => ({
  ...jobDoc({ job: other, ...more }),
  ...policyDoc([{ email: OTHER_TASKS, may: ["claim", "read", "revoke"] }]),
});

/** Two jobs: `billing` and `reports`. */
export async function openClaimWorld(): Promise<ClaimWorld> {
  const clock = new ManualClock();
  const logged: string[] = [];
  const log = createLogger({ write: (line) => logged.push(line) });
  const store = new MemoryStore({ clock });
  const ledger = openLedger({ store, clock, random: systemRandom, log });
  const vaultKeys = new VaultKeys(pepperInMemory(systemRandom));
  const all = loadVendors({ now: clock.now });
  const vendors = new Map([stripe, resend, all.get("twilio")!].map((vendor) => [vendor.id, vendor]));
  const docs = new MemoryPolicies();
  docs.docs.set("billing", jobDoc());
  docs.docs.set("reports", otherJob());
  const policies = new Policies({ docs, vendors, clock, log });
  const cloudRun = new HeldCloudRun();
  const common = { store, ledger, policies, vendors, vaultKeys, clock, log };
  const app = buildControl({
    ...common,
    setup: openSetup({
      ...common,
      cloudRun,
      random: systemRandom,
      secrets: { get: async (id) => (id === "twilio" ? TWILIO_SECRET : `canary-secret-of-${id}`) },
      retentionMs: 400 * DAY_MS,
    }),
    retentionMs: null,
    issuers: new Issuers({ store, clock, random: systemRandom }),
    authenticate: [adminKeyWay(hashAdminKey(ADMIN_KEY, systemRandom)), unsigned(policies)],
    reconcile: async () => ({ looked: 0, settled: 0, released: 0, unknown: 0, repriced: 0 }),
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const as = (email: string) => new ControlClient(url, tokenOf(email, AUDIENCE));
  return {
    ...{ url, clock, store, ledger, cloudRun, policies: docs, vaultKeys, logged, as },
    admin: new ControlClient(url, ADMIN_KEY),
    claim: (email, job, execution) => as(email).post(`/jobs/${job}/executions/${execution}/claim`),
    keys: async () => (await store.listKeys({}, 100, null)).items,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function unsigned(policies: Policies): Authenticate {
  return async (bearer) => {
    const [, payload = ""] = bearer.split(".");
    let claims: { email?: string; aud?: string };
    try {
      claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as typeof claims;
    } catch {
      return null;
    }
    const { email, aud } = claims;
    if (email === undefined || aud !== AUDIENCE) return null;
    const account = { email, sub: "1" };
    const policy = await policies.ofCaller(account.email, account.sub);
    return policy && accountPrincipal(policy, account);
  };
}

export { SCHEDULER, TASKS };
