/**
 * A task in a process of its own that asks for its run's key. Argument: the control plane's URL and the body; the admin key is in
 * the environment. It says `ready`, waits for a line on stdin so that all start together, and prints the answer's status and body.
 */
import { once } from "node:events";
import { request } from "node:http";

const [url, body] = process.argv.slice(2) as [string, string];
process.stdout.write("ready\n");
await once(process.stdin, "data");

const authorization = `Bearer ${process.env.KEYBRAKE_ADMIN_KEY ?? ""}`;
const asked = request(`${url}/vault/keys`, {
  method: "POST",
  headers: { authorization, "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) },
});
asked.end(body);
const [response] = (await once(asked, "response")) as [import("node:http").IncomingMessage];
let text = "";
for await (const chunk of response) text += String(chunk);
process.stdout.write(`${response.statusCode} ${text.trim()}\n`);
process.exit(0);
