# The config drive's JSON as lines for shell scripts, all in one run as starting jq is slow under
# emulation:
#   instance UUID | name FULL-NAME | seed BASE64 | key SSH-KEY
#   link MAC | mtu MAC MTU | dhcp MAC | address MAC IP NETMASK | route MAC NETWORK NETMASK GATEWAY
#   dns SERVER | bad FILE
def parsed($text): $text | try fromjson catch null | if type == "object" then . else null end;
def one_line: tostring | gsub("[\r\n]+"; " ");

(parsed($meta), (if $meta == "" or parsed($meta) then empty else "bad meta_data.json" end))
| if type == "string" then . else
    (.uuid // empty | "instance \(one_line)"),
    (.hostname // .name // empty | "name \(one_line)"),
    (.random_seed // empty | "seed \(one_line)"),
    (.public_keys // {} | .[] | strings | split("\n") | .[] | select(. != "") | "key \(one_line)")
  end,

(parsed($network) as $plan
  | if $network == "" then empty
    elif $plan == null then "bad network_data.json"
    else
      "plan network_data.json",
      ($plan.links // [] | .[] | select(.ethernet_mac_address)
        | (.ethernet_mac_address | ascii_downcase) as $mac
        | .id as $id
        | "link \($mac)",
          (.mtu // empty | "mtu \($mac) \(.)"),
          ($plan.networks // [] | .[] | select(.link == $id)
            | if .type == "ipv4_dhcp" then "dhcp \($mac)"
              elif .type == "ipv4" and .ip_address then
                "address \($mac) \(.ip_address) \(.netmask)",
                (.routes // [] | .[] | "route \($mac) \(.network) \(.netmask) \(.gateway)")
              else empty end)),
      ($plan.services // [] | .[] | select(.type == "dns") | "dns \(.address)")
    end)
