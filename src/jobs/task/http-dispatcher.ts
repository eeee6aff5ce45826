/** The connections of all `task` runs of this process. */
import { Agent } from 'undici';

/** Also bounds what a receiver can make us buffer before a body begins. */
export const responseHeaderBytesMax = 16_384;
export const connectTimeoutMs = 10_000;

/**
 * The real bound on sockets is the worker's concurrency; this one only stops a misconfigured service from taking all
 * ports towards one receiver. Calls beyond it wait, and their timeout runs meanwhile.
 */
const connectionsPerOriginMax = 1_024;

/**
 * Kept short on purpose: a burst reuses its connections, while a server that closes idle ones after 5 s (Node's
 * default) is never met by a request that is already on its way.
 */
const idleConnectionMs = 2_000;

/**
 * A pool of connections per origin; pools of unused origins close themselves. Whoever creates it closes it
 * (`compose.ts`): `close()` waits for the calls in flight, `destroy()` fails them.
 *
 * Egress rules (no private networks, an allow-list, a proxy) belong here and nowhere else, because redirects and name
 * lookups pass here too: give `connect` a `lookup` that refuses addresses after resolution (an address in the url itself
 * is not looked up: check it as well), or use a ProxyAgent.
 *
 * After a call that was aborted in flight undici makes one connection that it never uses (nodejs/undici#5845). In 7.30
 * it closes after `idleConnectionMs`; in 8.10.1, the report says, it stays: look there before upgrading.
 */
export function createTaskDispatcher(): Agent {
  return new Agent({
    connections: connectionsPerOriginMax,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: responseHeaderBytesMax,
    keepAliveTimeout: idleConnectionMs,
    keepAliveMaxTimeout: idleConnectionMs,
    // A call's own timeout covers all of it; undici's would only add timers of coarse resolution.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: {
      timeout: connectTimeoutMs,
      autoSelectFamily: true,
      // Node's 250 ms gives up on addresses that are merely far away.
      autoSelectFamilyAttemptTimeout: 1_000,
    },
  });
}
