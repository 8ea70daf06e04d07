import { z } from "zod";

/** Why an operator did it: kept in the hash chain. */
export const reasonText = z
  .string()
  .min(1, "must say why, in 1 to 500 characters")
  .max(500, "must say why, in 1 to 500 characters")
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "must be one line of text");
