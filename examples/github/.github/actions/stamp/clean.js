const fs = require('fs');

fs.rmSync(process.env.STATE_file);
console.log('the stamp is gone');
