/**
 * The control plane with policies, issuer keys and Google-signed ID tokens, wired as the proxy wires them, on a Cloud Run that has one
 * execution of one job. google-auth-library reads the system's clock, so the test's clock and `Date` are moved together.
 */
import { vi } from "vitest";
import { createGoogleIdentity, type GoogleIdentity } from "../../examples/local-cloud/google-identity.ts";
import { serveLocalApis } from "../../examples/local-cloud/local-api.ts";
import { systemRandom } from "../../service/clock.ts";
import { openIdentities } from "../../service/control/identities.ts";
import { createLogger } from "../../service/log.ts";
import { Secret } from "../../service/secrets/secret.ts";
import type { CloudRun } from "../../service/setup/cloud-run.ts";
import { openSetup } from "../../service/setup/open-setup.ts";
import { budgetDoc, jobDoc, MemoryPolicies, OPERATOR, policyDoc, TASKS } from "../policies/fixture.ts";
import { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, type Harness, START, startControl, stripe } from "./harness.ts";

export const AUDIENCE = "keybrake/my-project/us-central1/keybrake";
export const JOB = "nightly";
export const EXECUTION = "nightly-abc12";
/** May issue keys for callers whom the job knows nothing of. */
export const ISSUER_POLICY = "outside";

export interface IdentitiesWorld extends Harness {
  google: GoogleIdentity;
  policies: MemoryPolicies;
  /** Admin keys that the start made. */
  announced: string[];
  /** A client with an ID token of this account. */
  as(email: string): ControlClient;
  bearer(text: string): ControlClient;
  forward(ms: number): void;
}

export interface WorldOptions {
  /** `null`: the proxy has none. */
  audience?: string | null;
  /** A store in Firestore has no admin key unless one is given. */
  store?: string;
  adminKey?: string | null;
}

export async function startIdentities(options: WorldOptions = {}): Promise<IdentitiesWorld> {
  vi.useFakeTimers({ toFake: ["Date"], now: START });
  const google = createGoogleIdentity();
  const server = await serveLocalApis([google.api]);
  const policies = new MemoryPolicies();
  policies.docs.set(JOB, jobDoc());
  policies.docs.set("ops", policyDoc([{ email: OPERATOR, may: [...operatorMay] }], { sees: "all" }));
  policies.docs.set(ISSUER_POLICY, policyDoc([], { issuer_may: ["issue", "read", "revoke"], budget: budgetDoc() }));
  const announced: string[] = [];
  const adminKey = options.adminKey === undefined ? ADMIN_KEY : options.adminKey;
  const harness = await startControl(
    [stripe],
    async (deps) => {
      const identities = await openIdentities({
        ...deps,
        config: {
          adminKey: adminKey === null ? null : new Secret("admin key", adminKey),
          audience: options.audience === undefined ? AUDIENCE : options.audience,
          googleApis: server.url,
          policiesFile: null,
          store: options.store ?? "sqlite::memory:",
        },
        vendors: new Map([[stripe.id, stripe]]),
        random: systemRandom,
        log: createLogger({ write: () => {} }),
        announceAdminKey: (key) => announced.push(key),
      });
      const setup = openSetup({
        ...deps,
        policies: identities.policies!,
        vendors: new Map([[stripe.id, stripe]]),
        secrets: { get: async () => "sk_test" },
        cloudRun,
        random: systemRandom,
        retentionMs: 1,
      });
      return { ...identities, setup };
    },
    policies,
  );
  const bearer = (text: string) => new ControlClient(harness.url, text);
  return {
    ...harness,
    google,
    policies,
    announced,
    bearer,
    as: (email) => bearer(google.idToken(email, AUDIENCE)),
    forward: (ms) => {
      harness.clock.time += ms;
      vi.setSystemTime(harness.clock.time);
    },
    close: async () => {
      await harness.close();
      await server.close();
      vi.useRealTimers();
    },
  };
}

const operatorMay = ["launch", "read", "revoke", "pause", "resume", "raise", "reconcile"] as const;

const cloudRun: CloudRun = {
  run: async () => ({ kind: "started", execution: "nightly-new01" }),
  execution: async (_job, name) => ({
    ...{ name, job: JOB, serviceAccount: TASKS, completed: false },
    ...{ runId: null, createdAt: START },
  }),
  executionsSince: async () => [],
};
