import{w as a,x as b,y as c,z as d}from"./part-VDI7TCSI.js";import"./part-Y7ITELKM.js";export{d as ccipRequest,c as offchainLookup,b as offchainLookupAbiItem,a as offchainLookupSignature};
