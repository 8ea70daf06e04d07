/** Every bound of the data plane, in one place. Times are milliseconds, sizes bytes. */
export interface Limits {
  /** Connections that are served; a few more are told 503 `overloaded`, the rest are dropped. */
  connections: number;
  /** Calls in flight in this process, whatever their key. Beyond it: 503 before the body is read. */
  concurrency: number;
  /**
   * Requests of one key that are being read or answered, so that no key takes all of `concurrency`; a key whose own limit of calls
   * at once is higher may have as many. Beyond it: 503 before the body is read.
   */
  keyConcurrency: number;
  /** Request line and headers together. */
  headerBytes: number;
  headersMs: number;
  /** From a request's first byte to the last of its body. */
  requestMs: number;
  keepAliveMs: number;
  /** Request target, path and query together. */
  targetBytes: number;
  /** How long one call may be at the vendor, both sends after a 401 together. */
  upstreamMs: number;
  connectMs: number;
  /** Answers to priced calls are buffered up to this. */
  answerBytes: number;
  /** An answer that is streamed is cut beyond this. */
  streamBytes: number;
  /** A settled answer's body is kept for repeats up to this. */
  receiptBytes: number;
  /** A refused request's body is read and thrown away up to this, so that the client can read its answer. */
  discardBytes: number;
}

export const defaultLimits: Limits = {
  connections: 4096,
  concurrency: 1024,
  keyConcurrency: 512,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  keepAliveMs: 75_000,
  targetBytes: 512,
  upstreamMs: 80_000,
  connectMs: 10_000,
  answerBytes: 1 << 20,
  streamBytes: 64 << 20,
  receiptBytes: 64 * 1024,
  discardBytes: 1 << 20,
};

/** A reservation's lease outlives its send: past this a repeat may take the sender for dead. */
export const LEASE_MARGIN_MS = 40_000;
