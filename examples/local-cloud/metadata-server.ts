/**
 * The metadata server of one service account's instances, as far as tasks ask it: the ID token, the account's e-mail, the project
 * (https://cloud.google.com/run/docs/container-contract#metadata-server, read 2026-11).
 * Limit: the real one answers to the name metadata.google.internal, keeps a token until shortly before its end, and has more paths.
 */
import { type LocalAnswer, type LocalApi, type LocalServer, serveLocalApis } from "./local-api.ts";

export interface MetadataOptions {
  serviceAccount: string;
  project: string;
  /** An ID token of this account. `full` says that the e-mail was asked for. */
  idToken(audience: string, full: boolean): string;
}

const headers = { "metadata-flavor": "Google", server: "Metadata Server for Serverless" };
const accountPath = /^\/computeMetadata\/v1\/instance\/service-accounts\/([^/]+)\/(.*)$/;

export function metadataApi({ serviceAccount, project, idToken }: MetadataOptions): LocalApi {
  const text = (status: number, body: string): LocalAnswer => ({ status, text: body, headers });
  return async ({ method, path, query, headers: given }) => {
    if (!path.startsWith("/computeMetadata/")) return text(404, "Not Found");
    // A page or a proxy that was talked into asking sets no such header, or adds the second.
    if (given["metadata-flavor"] !== "Google") return text(403, "Missing Metadata-Flavor:Google header.");
    if (given["x-forwarded-for"] !== undefined) return text(403, "X-Forwarded-For is not allowed.");
    if (method !== "GET") return text(405, "Method Not Allowed");
    if (path === "/computeMetadata/v1/project/project-id") return text(200, project);
    const [, account, what] = accountPath.exec(path) ?? [];
    if (account !== "default" && account !== serviceAccount) return text(404, "Not Found");
    if (what === "email") return text(200, serviceAccount);
    if (what !== "identity") return text(404, "Not Found");
    const audience = query.get("audience");
    if (!audience) return text(400, "non-empty audience parameter required");
    return text(200, idToken(audience, query.get("format") === "full"));
  };
}

export function serveMetadata(options: MetadataOptions): Promise<LocalServer> {
  return serveLocalApis([metadataApi(options)]);
}
