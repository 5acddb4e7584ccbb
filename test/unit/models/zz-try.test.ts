import { test } from 'vitest'
import { startRehearsal } from '/work/main/models/rehearsal.ts'
import { runAgent } from '/work/main/test/unit/models/rehearsal-agent.ts'
const cases: [string, string][] = [
 ['total by customer in a.csv', 'Sales report 2025\nExported by Bob, on Monday\n\nCustomer;Amount\nA;1.200\nB;3.400\nTotal;4.600\n'],
 ['total by customer in a.csv', 'sep=;\r\nCustomer;Amount\r\nA;1,5\r\nB;2,25\r\n'],
 ['total the amounts by name in a.csv', '1;Bob;12,50\n2;Ann;3,20\n3;bob;1,00\n'],
 ['total the orders by customer in a.csv', 'customer,unit_price,qty\nA,2.50,4\nB,1.00,3\na,1.00,1\n'],
 ['total by customer in a.csv', 'Customer,Amount\n'],
 ['total by customer in a.csv', ''],
 ['total amount by customer in a.csv', '"Amount" | "Customer"\n 12.5 | Bob \n"1,000" | "bob"\n'],
 ['total by region in a.csv', 'id,area,amount\n1,N,$5\n2,S,€6\n3,N,$5\n'],
 ['count by status in a.csv', 'id,status\n1,open\n2,closed\n3,Open\n'],
 ['how many customers per region in a.csv', 'customer,region\nA,N\nB,N\nA,N\nC,S\n'],
 ['how many distinct customers in a.csv', 'customer,region\nA,N\nB,N\nA,N\nC,S\n'],
 ['list of customer by region in a.csv', 'customer,region\nA,N\nB,N\nA,N\nC,S\n'],
 ['min of temp by city in a.csv', 'city,temp\nX,-3.5\nX,2\nY,7\n'],
 ['sum of sales and average of cost by region in a.csv', 'region,sales,cost\nN,1,2\nN,3,4\nS,5,6\n'],
 ['total sales and costs by region in a.csv', 'region,sales,cost\nN,1,2\nN,3,4\nS,5,6\n'],
 ['top 2 customers by revenue in a.csv', 'customer,revenue\nA,1\nB,5\nC,3\n'],
 ['total amount by region and product in a.csv', 'product,region,amount\np,N,1\nq,N,2\np,n,3\n'],
 ['What is the average of price in a.csv?', 'product,price\np,1\nq,2\n'],
 ['total hours by employee in a.csv', 'employee,hours\nBob,1.5\nAnn,2\nbob,0.25\n'],
 ['Customer totals for a.csv please', 'customer,amount\nA,1\nB,5\n'],
 ['Which region sold the least in a.csv?', 'region,amount\nA,1\nB,5\n'],
 ['total population by country in a.csv', 'country,year,population\nA,2020,1000\nA,2021,"1,100"\nB,2020,5\n'],
]
test('x', async () => {
  const m = await startRehearsal()
  for (const [t, text] of cases) {
    const r = await runAgent(m.url, t, { files: { 'a.csv': text } })
    console.log('##', t, JSON.stringify(text.slice(0,60)), '\n', r.steps.map(s=>s.map(c=>c.name).join('+')).join(' > '), '\n' + r.answer)
  }
  await m.close()
})
