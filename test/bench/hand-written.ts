/**
 * Second baseline: the hop that people write by hand. Express 5 parses the body, the real secret takes the place of the
 * client's credential, undici sends it on. No price, no ledger, no audit, no retry shield.
 */
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type Express from "express";
import { Pool } from "undici";
import { listenAndReport } from "./listen.ts";

// Asked for from the service's place: an older Express may lie above, for another package.
const express = createRequire(new URL("../../service/package.json", import.meta.url))("express") as typeof Express;

const target = process.env.UPSTREAM;
if (!target) throw new Error("UPSTREAM is missing");
const pool = new Pool(target, { connections: 64 });

const app = express();
app.disable("x-powered-by");
app.use(express.json(), express.urlencoded({ extended: false }));
app.post("/stripe/*path", async (request, response) => {
  const headers: Record<string, string> = {
    authorization: "Bearer sk_test_bench",
    "content-type": "application/x-www-form-urlencoded",
  };
  for (const name of ["idempotency-key", "stripe-version"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers[name] = value;
  }
  const answer = await pool.request({
    method: "POST",
    path: request.url.slice("/stripe".length),
    headers,
    body: new URLSearchParams(request.body as Record<string, string>).toString(),
  });
  const body = await answer.body.text();
  response.status(answer.statusCode).set("content-type", "application/json").send(body);
});
listenAndReport(createServer(app));
