/**
 * First baseline: http-proxy-3 forwarding every request as it is. No key, no price, no ledger. As it comes it opens a connection
 * for every call; with `KEEP_ALIVE` it gets an agent that keeps them.
 */
import { Agent, createServer } from "node:http";
import { createProxyServer } from "http-proxy-3";
import { listenAndReport } from "./listen.ts";

const target = process.env.UPSTREAM;
if (!target) throw new Error("UPSTREAM is missing");
const proxy = createProxyServer(
  process.env.KEEP_ALIVE ? { target, agent: new Agent({ keepAlive: true }) } : { target },
);
proxy.on("error", (error, _request, response) => {
  if ("writeHead" in response) response.writeHead(502).end(error.message);
});
listenAndReport(createServer((request, response) => proxy.web(request, response)));
