// @ts-check
/** One HTTP exchange, bounded in time and size, and its repetition. */
import { createRequire } from "node:module";
import { ExecFailure } from "./failure.js";

// Required, not imported: an import of node:http also evaluates its WebSocket, which takes longer than all of this command.
const require = createRequire(import.meta.url);

const MAX_ANSWER_BYTES = 65_536;
const MAX_TRY_MS = 15_000;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;

/**
 * @typedef {object} Question
 * @property {string} who For sentences: whom it is put to.
 * @property {import("./settings.js").Place} place
 * @property {string} method
 * @property {string} path
 * @property {Record<string, string>} headers
 */

/** @typedef {{ status: number, body: string }} Reply */

/**
 * Puts the question again after 408, 429, 5xx and where no reply came, with pauses that grow and differ.
 * Throws {@link ExecFailure} when time is up, for a redirect, and for a reply that is too large.
 * @param {Question} question
 * @param {number} deadline By `performance.now()`.
 * @returns {Promise<Reply>} The first reply that another try would not change.
 */
export async function askUntil(question, deadline) {
  const { who, place } = question;
  for (let tries = 1; ; tries += 1) {
    const left = deadline - performance.now();
    const reply = await askOnce(question, Math.max(1, Math.min(left, MAX_TRY_MS)));
    if (typeof reply !== "string") {
      const { status } = reply;
      if (status >= 300 && status < 400) {
        throw new ExecFailure(
          `${who} at ${place.text} answered ${status}, a redirect, which is not followed: name its own address.`,
        );
      }
      if (status !== 408 && status !== 429 && status < 500) return reply;
    }
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2);
    if (performance.now() + pause >= deadline) {
      if (typeof reply !== "string") return reply;
      throw new ExecFailure(`${who} at ${place.text} does not answer (${reply}); tried ${tries} times.`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/**
 * @param {Question} question
 * @param {number} timeoutMs
 * @returns {Promise<Reply | string>} A text says why there was no reply.
 */
function askOnce({ who, place, method, path, headers }, timeoutMs) {
  /** @type {typeof import("node:http")} */
  const http = require(place.tls ? "node:https" : "node:http");
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: place.host,
      port: place.port,
      method,
      path: place.path + path,
      headers,
      agent: false,
    });
    const timer = setTimeout(() => request.destroy(Object.assign(new Error(), { code: "time is up" })), timeoutMs);
    /** @param {Reply | string} reply */
    const end = (reply) => {
      clearTimeout(timer);
      resolve(reply);
    };
    /** @param {NodeJS.ErrnoException} error */
    const fail = (error) => end(error.code ?? error.message);
    request.on("error", fail);
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("error", fail);
      response.on("data", (part) => {
        body += part;
        if (body.length <= MAX_ANSWER_BYTES) return;
        request.destroy();
        clearTimeout(timer);
        reject(
          new ExecFailure(`the answer of ${who} at ${place.text} is too large: name the address of the proxy itself.`),
        );
      });
      response.on("end", () => end({ status: response.statusCode ?? 0, body }));
    });
    request.end();
  });
}
