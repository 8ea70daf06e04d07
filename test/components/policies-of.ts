/** Policies in a run, decoded by the service's own reader of documents. */
import { type Fields, plainDoc } from "../../service/stores/firestore-values.ts";
import type { RecordDoc } from "../../service/stores/store.ts";
import type { Run } from "./mock-program.ts";

export function policiesOf({ made }: Run): Map<string, RecordDoc> {
  const documents = made.filter(({ type }) => type === "gcp:firestore/document:Document");
  return new Map(
    documents.map(({ inputs }) => [String(inputs.documentId), plainDoc(JSON.parse(String(inputs.fields)) as Fields)]),
  );
}
