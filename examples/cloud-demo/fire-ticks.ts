/** Scheduler fires; each scheduled time becomes one execution with one key. */
import type { DemoProxy } from "../billing-demo/proxy.ts";
import type { LocalCloud } from "../local-cloud/local-cloud.ts";
import type { CloudProgress } from "./cloud-progress.ts";
import { billingJob, type TemplateOptions, type Way } from "./job-template.ts";
import { AUDIENCE, JOB, SCHEDULER_ACCOUNT } from "./place.ts";

/** One scheduled run: its deliveries, its execution and its key. */
export interface Night {
  scheduleTime: string;
  /** Status of each delivery of the tick. */
  deliveries: number[];
  way: Way;
  execution: string;
  keyId: string;
  label: string;
}

/** The second night's tasks get their key by `keybrake exec`, the others' from the launch. */
export const ways: readonly Way[] = ["variables", "exec", "variables"];
const HOUR_MS = 3_600_000;

/** Three scheduled times of this night, an hour from each other; each is delivered twice, and the executions overlap. */
export async function fireTicks(
  cloud: LocalCloud,
  proxy: DemoProxy,
  template: TemplateOptions,
  progress: CloudProgress,
  signal: AbortSignal,
): Promise<Night[]> {
  const hour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const nights: Night[] = [];
  for (const [index, way] of ways.entries()) {
    signal.throwIfAborted();
    cloud.setJob(JOB, billingJob(way, template));
    const scheduleTime = new Date(hour - (ways.length - 1 - index) * HOUR_MS).toISOString().replace(".000Z", "Z");
    const before = new Set(cloud.executions().map(({ name }) => name));
    const deliveries = await cloud.tick({
      url: `${proxy.url}/jobs/${JOB}/executions`,
      audience: AUDIENCE,
      account: SCHEDULER_ACCOUNT,
      name: JOB,
      scheduleTime,
    });
    const [execution, ...more] = cloud.executions().filter(({ name }) => !before.has(name));
    if (!execution || more.length > 0) {
      const count = execution ? 1 + more.length : 0;
      throw new Error(`the tick of ${scheduleTime} started ${count} executions: its deliveries got ${deliveries}`);
    }
    const [key] = (await proxy.admin("GET", `/vault/keys?label=${execution.name}`)).keys as Record<string, unknown>[];
    if (!key) throw new Error(`no key is bound to ${execution.name}`);
    const night = {
      scheduleTime,
      deliveries,
      way,
      execution: execution.name,
      keyId: String(key.key_id),
      label: String(key.label),
    };
    progress.launched(night);
    nights.push(night);
  }
  return nights;
}
