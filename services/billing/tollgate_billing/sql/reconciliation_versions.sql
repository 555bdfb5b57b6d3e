-- Read the versions that the charges of some ranges were rated with. They are few, even for millions of charges.
WITH indexOf({partitions:Array(UInt16)}, partition) AS place
SELECT DISTINCT price_version, plan_version
FROM charges
WHERE
    topic = {topic:String}
    AND kind = 'charge'
    AND place > 0
    AND offset >= {starts:Array(UInt64)}[place]
    AND offset < {ends:Array(UInt64)}[place]
