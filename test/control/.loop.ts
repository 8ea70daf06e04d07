import { monitorEventLoopDelay } from "node:perf_hooks";
import { mkdtempSync, rmSync } from "node:fs";
import { readConfig } from "../../service/config.ts";
import { startProxy } from "../../service/app.ts";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { openStore } from "../../service/stores/open-store.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { makeCall } from "./harness.ts";
const dir = mkdtempSync("/tmp/kbloop-");
const log = createLogger({ write: (l) => { if (/"(ERROR|WARNING)"/.test(l)) console.log(l); } });
const env = { PORT: "0", KEYBRAKE_STORE: `sqlite:${dir}/k.db`, KEYBRAKE_ADMIN_KEY: "k".repeat(40), S: "sk_test_12345678", KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:S"}}' };
// issue via the proxy, then fill through a ledger of our own while the proxy is closed
const start = () => startProxy({ config: readConfig(env), clock: systemClock, random: systemRandom, log, announceAdminKey: () => {} });
const h = { authorization: `Bearer ${"k".repeat(40)}`, "content-type": "application/json" };
let proxy = await start();
const key = await (await fetch(proxy.url + "/vault/keys", { method: "POST", headers: h, body: JSON.stringify({ vendor: "stripe", usd_cap: 100000000, allowed_endpoints: ["*"], expires_in: "2h", label: "x", limits: { concurrency: 5000 } }) })).json() as any;
await proxy.close();
const store = await openStore(env.KEYBRAKE_STORE, { clock: systemClock, random: systemRandom, log });
const ledger = openLedger({ store, clock: systemClock, random: systemRandom, log });
const t = Date.now();
for (let i = 0; i < 60_000; i += 400) await Promise.all(Array.from({ length: 400 }, (_, k) => makeCall({ ledger } as any, key.key_id, "settled", { quoteMicros: 10_000, task: (i + k) % 5000, attempt: 0 })));
console.log("filled", Date.now() - t, "ms");
await store.close();
proxy = await start();
for (const [what, target, accept] of [["warm", "/audit?limit=1", ""], ["csv", "/audit", "text/csv"], ["csv", "/audit", "text/csv"], ["ndjson", "/audit", "application/x-ndjson"], ["json1000", "/audit?limit=1000", ""], ["summary", "/audit/summary?group_by=task", ""], ["proof", `/vault/keys/${key.key_id}/proof`, ""], ["proof nd", `/vault/keys/${key.key_id}/proof`, "application/x-ndjson"], ["openapi", "/openapi.json", ""]] as const) {
  const d = monitorEventLoopDelay({ resolution: 1 }); d.enable();
  const t0 = Date.now();
  const r = await fetch(proxy.url + target, { headers: { ...h, accept } });
  let n = 0; for await (const c of r.body!) n += c.length;
  d.disable();
  console.log(what, r.status, (n / 1e6).toFixed(1), "MB", Date.now() - t0, "ms; loop max", (d.max / 1e6).toFixed(1), "p99", (d.percentile(99) / 1e6).toFixed(1));
}
await proxy.close(); rmSync(dir, { recursive: true });
