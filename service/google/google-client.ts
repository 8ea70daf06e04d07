/**
 * Where Google's APIs are and what credential goes there: the same for every client library. With KEYBRAKE_GOOGLE_APIS that is a
 * server on loopback and no credential at all; else Google itself, by Application Default Credentials (GCE_METADATA_HOST is honoured).
 */
import type { GoogleAuth } from "google-auth-library";
import type { ClientOptions } from "google-gax";

/** What a service account may do is decided by IAM, not by this. */
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";

/** GOOGLE_SDK_NODE_LOGGING makes Google's libraries log every answer, secrets and tokens included: not in this process. */
export async function silenceGoogle(): Promise<void> {
  const { setBackend } = await import("google-logging-utils");
  setBackend(null);
}

/** @param googleApis origin of the stand-in on loopback, which is never sent a credential; `null`: Google's own APIs. */
export async function googleAuth(googleApis: string | null): Promise<GoogleAuth> {
  const [{ GoogleAuth, PassThroughClient }] = await Promise.all([import("google-auth-library"), silenceGoogle()]);
  return new GoogleAuth(googleApis === null ? { scopes: [SCOPE] } : { authClient: new PassThroughClient() });
}

/**
 * Options for the generated clients (`@google-cloud/…`), over REST: beside Firestore's gRPC a client costs 20 ms and 3 MB this way, and
 * 55 ms and 11 MB over gRPC (Node 24, two cores, 2026-11).
 */
export async function restClientOptions(googleApis: string | null): Promise<ClientOptions> {
  const auth = await googleAuth(googleApis);
  if (googleApis === null) return { auth, fallback: true };
  const { protocol, hostname, port } = new URL(googleApis);
  const scheme = protocol.slice(0, -1);
  return {
    auth,
    fallback: true,
    protocol: scheme,
    apiEndpoint: hostname,
    port: Number(port) || (scheme === "http" ? 80 : 443),
  };
}
