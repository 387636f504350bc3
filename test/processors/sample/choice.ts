// A process of its own that samples requests and prints which: what another machine would choose.

import { sample } from '../../../src/processors/sample/sample.ts';
import { testContext } from '../../support/collect.ts';
import { requestId, requests, texts } from './records.ts';

const [settings = '{}', count = '0'] = process.argv.slice(2);
const processor = sample.create(sample.config.parse(JSON.parse(settings)), testContext());
const all = Array.from({ length: Number(count) }, (_, i) => ({ id: requestId(i), code: 200 }));
process.stdout.write(texts(processor.process(requests(all)), 'request.id').join('\n'));
