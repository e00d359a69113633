// The SHA-256 of a request's bearer token in hex, or '' where there is none worth hashing.
import crypto from 'crypto';

function hash(r) {
    var found = /^Bearer ([!-~]{8,256})$/.exec(r.headersIn['Authorization'] || '');
    return found ? crypto.createHash('sha256').update(found[1]).digest('hex') : '';
}

export default {hash};
