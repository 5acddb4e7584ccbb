import { type Dispatcher, request } from 'undici'
import type { SendWebhook } from '../runtime/webhooks.ts'

/** Posts through the dispatcher, which says what may be reached. Redirects are not followed. Paths are of `own`. */
export function webhookSender(dispatcher: Dispatcher, own: string): SendWebhook {
  return async (url, body, { id, timestamp, signature, signal }) => {
    const target = new URL(url, own)
    if (url.startsWith('/') && target.origin !== new URL(own).origin)
      throw new Error('The path names another host.')
    const answer = await request(target, {
      method: 'POST',
      dispatcher,
      signal,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signature,
      },
      body,
    })
    // What it says is nobody's business, but the connection is not free before it is read.
    await answer.body.dump({ limit: 65_536, signal }).catch(() => {})
    return answer.statusCode
  }
}

/** Where the console shows an approval. */
export function approvalUrls(publicUrl: string): (approvalId: string) => string {
  return (approvalId) => `${publicUrl}/console#/approvals/${approvalId}`
}
