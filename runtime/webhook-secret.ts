import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { deriveKey } from './secret.ts'
import type { EndpointSecrets } from './signed-callback.ts'
import type { WebhookEndpoints } from './webhook.ts'

const PREFIX = 'whsec_'
const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16

export interface WebhookKeys {
  /** Under which the secrets of endpoints rest. */
  rest: Buffer
  /** The secret of webhooks that belong to no endpoint: of those that runs asked for. */
  ofRuns: string
}

export function webhookKeys(secret: string): WebhookKeys {
  return {
    rest: deriveKey(secret, 'webhook secrets'),
    ofRuns: textOf(deriveKey(secret, 'webhooks of runs')),
  }
}

/** As Standard Webhooks writes it: `whsec_` and 32 bytes in base64. */
export function newWebhookSecret(): string {
  return textOf(randomBytes(32))
}

/** AES-256-GCM, bound to its endpoint: moved to another one's row it does not open. */
export function sealSecret({ rest }: WebhookKeys, endpointId: string, secret: string): string {
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CIPHER, rest, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(endpointId))
  const sealed = Buffer.concat([cipher.update(secret), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64')
}

/** Throws where it was sealed with another key, or for another endpoint. */
export function openSecret({ rest }: WebhookKeys, endpointId: string, sealed: string): string {
  const bytes = Buffer.from(sealed, 'base64')
  try {
    const decipher = createDecipheriv(CIPHER, rest, bytes.subarray(0, IV_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(Buffer.from(endpointId))
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const opened = decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES))
    return Buffer.concat([opened, decipher.final()]).toString()
  } catch (cause) {
    throw new Error(
      `The secret of endpoint ${endpointId} does not open: its row was changed. Make a new one: holdpoint webhooks rotate ${endpointId} --overlap 0.`,
      { cause },
    )
  }
}

/** Opens what an endpoint's secrets rest as. */
export function endpointSecrets(
  endpoints: Pick<WebhookEndpoints, 'secrets'>,
  keys: WebhookKeys,
): EndpointSecrets {
  return async (endpointId) => {
    const found = await endpoints.secrets(endpointId)
    return found && { ...found, secrets: found.secrets.map((sealed) => openSecret(keys, endpointId, sealed)) }
  }
}

/** A signature for each secret, by https://www.standardwebhooks.com. `timestamp`: of this try, in whole seconds. */
export function signatureOf(
  secrets: string[],
  { id, timestamp, body }: { id: string; timestamp: number; body: string },
): string {
  return secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
      return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
    })
    .join(' ')
}

function textOf(key: Buffer): string {
  return PREFIX + key.toString('base64')
}
