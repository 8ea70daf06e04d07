/** Answers that are written page by page: with backpressure, and cut off rather than ended when something fails half way. */
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";

/** A reader that takes nothing for this long loses its export, ms. */
const STALL_MS = 30_000;

export async function streamAnswer(
  response: ServerResponse,
  headers: Record<string, string>,
  chunks: AsyncIterable<string>,
): Promise<void> {
  response.writeHead(200, headers);
  response.setTimeout(STALL_MS, () => response.destroy());
  try {
    await pipeline(chunks, response);
  } catch (error) {
    response.destroy();
    if (!gone(error)) throw error;
  }
}

/** The client went away: nothing failed here. */
const gone = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  (error.code === "ERR_STREAM_PREMATURE_CLOSE" || error.code === "ECONNRESET");
