import { test, inject } from 'vitest'
import { startTestServer, migrateDatabase } from '../../support/server.ts'
import { useDatabase } from '../../support/database.ts'
import { startScriptedModel } from '../../support/scripted-model.ts'
const db = useDatabase(migrateDatabase)
test('boot', async () => {
  for (const databaseUrl of [undefined, db.url]) {
    const t0 = performance.now()
    const model = await startScriptedModel([{ toolCalls: [{name:'send_email', args:{to:'a@example.com',subject:'s',body:'b'}}] }, {content:'done'}])
    const s = await startTestServer({ modelUrl: model.url, ...(databaseUrl ? {databaseUrl} : {}) })
    console.log('boot', performance.now() - t0)
    const t = await s.client.threads.create()
    const t1 = performance.now()
    for await (const e of s.client.runs.stream(t.thread_id, 'react', { input: { messages: [{role:'user', content:'hi'}] }, streamMode: ['updates','custom','messages-tuple', 'values'], streamSubgraphs: true })) console.log(e.id, e.event, JSON.stringify(e.data).slice(0, 300))
    console.log('run', performance.now() - t1)
    const a = await (await fetch(`${s.url}/approvals`)).json()
    console.log(a)
    const t2 = performance.now()
    const d = await fetch(`${s.url}/approvals/${a[0].approval_id}/decisions`, {method:'POST', headers:{'content-type':'application/json'}, body: JSON.stringify({type:'approve'})})
    const dd = await d.json()
    console.log(d.status, dd.resumed_run_id)
    console.log(JSON.stringify(await s.client.runs.join(t.thread_id, dd.resumed_run_id)).slice(0,3000))
    console.log('resume', performance.now() - t2)
    console.log(s.logLines)
    await s.close(); await model.close()
    console.log('all', performance.now() - t0)
  }
}, 60000)
