import { type Dispatcher, request } from 'undici'
import type { SendWebhook } from '../runtime/webhooks.ts'

/** Posts through the dispatcher, which says what may be reached. Redirects are not followed. Paths are of `own`. */
export function webhookSender(dispatcher: Dispatcher, own: string): SendWebhook {
  return async (url, body, { id, signal }) => {
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
        'webhook-timestamp': String(Math.floor(Date.now() / 1_000)),
      },
      body,
    })
    // What it says is nobody's business, but the connection is not free before it is read.
    await answer.body.dump({ limit: 65_536, signal })
    if (answer.statusCode < 200 || answer.statusCode > 299)
      throw new Error(`The receiver answered ${answer.statusCode}.`)
  }
}
