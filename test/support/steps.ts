import type { Step } from "../../service/data/data-plane.ts";

/** The steps of a call's life, in their order. */
export const steps: readonly Step[] = [
  "received",
  "authenticated",
  "parsed",
  "quoted",
  "reserved",
  "before_send",
  "sent",
  "answered",
  "settled",
  "before_answer",
];
