/**
 * The key of a manager inside a proxy that is sent: closed with the key of the family, so that a process of the family
 * can open it and whoever else reads the message cannot. Others use their own key, as in Python.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { currentProcess } from '../process/process';
import { familyKey } from '../process/registry';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

function sealingKey(): Buffer {
  return createHash('sha256').update('realfork manager').update(familyKey).digest();
}

/** Close a key. */
export function seal(key: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, sealingKey(), nonce);
  const body = Buffer.concat([cipher.update(key), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), body]);
}

/** The key inside; this process's own when it was not closed in this family. */
export function unseal(sealed: Uint8Array | undefined): Buffer {
  if (sealed === undefined || sealed.length < NONCE_BYTES + TAG_BYTES) return currentProcess().authkey;
  const body = NONCE_BYTES + TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, sealingKey(), sealed.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(sealed.subarray(NONCE_BYTES, body));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(body)), decipher.final()]);
  } catch {
    return currentProcess().authkey; // another family's
  }
}
