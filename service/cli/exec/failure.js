// @ts-check
/** The command is not started. The message is one sentence without secrets. */
export class ExecFailure extends Error {
  /** @override */
  name = "ExecFailure";

  /**
   * @param {string} sentence
   * @param {number} exitCode As shells have it: 126 for what cannot be executed, 127 for what is not there, 2 for wrong usage.
   */
  constructor(sentence, exitCode = 1) {
    super(sentence);
    this.exitCode = exitCode;
  }
}
