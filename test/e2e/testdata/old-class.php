<?php
// What the original's PHP class puts on the wire, as the contract describes it:
// php old-class.php URL emit|emit_get USERID EVENT JSON
// prints what the class returns. A list of users is written as JSON.
[, $url, $method, $userid, $event, $json] = $argv;

function emit($url, $userid, $event, $data)
{
    $curl = curl_init($url . '/emit');
    curl_setopt($curl, CURLOPT_POST, true);
    curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
    curl_setopt($curl, CURLOPT_POSTFIELDS, http_build_query([
        'id' => $userid, 'message' => $event, 'data' => json_encode($data),
    ]));
    return curl_exec($curl);
}

function emit_get($url, $userid, $event, $data)
{
    if (is_string($data)) {
        $data = ['_type' => 'string', '_data' => $data];
    }
    $data['id'] = $userid;
    $data['message'] = $event;
    return file_get_contents($url . '/emit?' . http_build_query($data));
}

$userid = $userid[0] === '[' ? json_decode($userid) : $userid;
echo $method($url, $userid, $event, json_decode($json, true));
