# A guest of Xen's, whole: what it finds when it begins, how it speaks, and how it ends.
# The steps that make one guest unlike another come in between, and what they keep at the end.

start:                              # Xen starts us here, with paging on. rsi is the address of our start info page
    mov [rip + info], rsi
    mov rax, [rsi + 72]             # the frame of the console's ring
    call address_of
    mov [rip + console], rax
    mov rax, [rsi + 56]             # the frame of xenstore's rings
    call address_of
    mov [rip + store], rax
    mov eax, set_trap_table         # where Xen shall go on when an instruction of ours faults
    lea rdi, [rip + traps]
    syscall

{steps}

    lea rdi, [rip + all]
    call print
stop:                               # dom0 shall have read all we said
    mov rdi, [rip + console]
    mov eax, [rdi + 3080]           # out_cons: how far dom0 has read
    cmp eax, [rdi + 3084]           # out_prod: how far we have written
    je off
    call yield
    jmp stop
off:
    mov eax, sched_op
    mov edi, 2                      # SCHEDOP_shutdown
    lea rsi, [rip + poweroff]
    syscall
    jmp off

# -- frames and addresses: page n of our memory lies at address 4096 n

address_of:                         # rax: a frame of the machine -> where it lies in our memory
    mov rcx, 0xffff800000000000     # Xen's table of all frames: which page of its owner each is
    mov rax, [rcx + rax * 8]
    shl rax, 12
    ret

frame_of:                           # rax: an address in our memory -> the frame of the machine
    shr rax, 12
    mov rcx, [rip + info]
    mov rcx, [rcx + 104]            # our own table, the other way round
    mov rax, [rcx + rax * 8]
    ret

entry_of:                           # rdi: an address -> rax: the machine's address of the entry that maps it
    mov rcx, [rip + info]           #                    rdx: where we can read that entry
    mov rdx, [rcx + 88]             # our root table
    mov r9d, 39
entry_next:
    mov rax, rdi
    mov ecx, r9d
    shr rax, cl
    and eax, 511
    lea rdx, [rdx + rax * 8]
    cmp r9d, 12
    je entry_found
    mov rax, [rdx]                  # a table of the next level: its frame
    shl rax, 12
    shr rax, 24
    call address_of
    mov rdx, rax
    sub r9d, 9
    jmp entry_next
entry_found:
    mov r9, rdx
    mov rax, rdx
    call frame_of
    shl rax, 12
    and r9d, 4095
    or rax, r9
    ret

# -- one step after the other

begin:                              # rdi: the step's name, rsi: where to go on after it
    mov [rip + doing], rdi
    mov [rip + resume], rsi
    mov [rip + stack], rsp
    add qword ptr [rip + stack], 8  # as it is when we have returned
    ret

report:                             # rax: what came out, as a number
    push rax
    mov rdi, [rip + doing]
    call print
    pop rax
    lea rdi, [rip + digits + 16]
    mov ecx, 16
report_digit:
    mov edx, eax
    and edx, 15
    lea r9, [rip + alphabet]
    mov dl, [r9 + rdx]
    dec rdi
    mov [rdi], dl
    shr rax, 4
    dec ecx
    jnz report_digit
    call print
    ret

report_text:                        # rax: what came out, as text
    push rax
    mov rdi, [rip + doing]
    call print
    pop rdi
    call print
    lea rdi, [rip + newline]
    call print
    ret

undefined:                          # Xen goes on here after a fault: say so, and leave the step
    lea rax, [rip + invalid_opcode]
    jmp fault
protection:
    lea rax, [rip + general_protection]
    jmp fault
missing:
    lea rax, [rip + page_fault]
fault:
    mov rsp, [rip + stack]
    call report_text
    jmp [rip + resume]

# -- speaking

print:                              # rdi: text, which ends with a zero, into the console's ring
    mov rsi, [rip + console]
    mov ecx, [rsi + 3084]
print_next:
    mov al, [rdi]
    test al, al
    jz print_done
    mov edx, ecx
    sub edx, [rsi + 3080]
    cmp edx, 2048                   # the ring is full: let dom0 read
    jb print_put
    mov [rsi + 3084], ecx
    push rdi
    push rsi
    push rcx
    call ring_console
    call yield
    pop rcx
    pop rsi
    pop rdi
    jmp print_next
print_put:
    mov edx, ecx
    and edx, 2047
    mov [rsi + rdx + 1024], al
    inc ecx
    inc rdi
    jmp print_next
print_done:
    mov [rsi + 3084], ecx
    call ring_console
    ret

ring_console:                       # tell dom0 that there is something to read
    mov rcx, [rip + info]
    mov ecx, [rcx + 80]
    jmp notify
ring_store:
    mov rcx, [rip + info]
    mov ecx, [rcx + 64]
notify:                             # ecx: an event channel
    mov [rip + port], ecx
    mov eax, event_channel_op
    mov edi, 4                      # EVTCHNOP_send
    lea rsi, [rip + port]
    syscall
    ret

yield:                              # let others run
    mov eax, sched_op
    mov edi, 0                      # SCHEDOP_yield
    mov esi, 0
    syscall
    ret

# -- asking xenstore

ask:                                # rdi: a message, 16 bytes of header and what follows -> rax: the answer, as text
    mov rsi, [rip + store]
    mov r8d, [rdi + 12]             # the length of what follows
    add r8d, 16
    mov ecx, [rsi + 2052]           # req_prod
ask_next:
    mov al, [rdi]
    mov edx, ecx
    and edx, 1023
    mov [rsi + rdx], al
    inc ecx
    inc rdi
    dec r8d
    jnz ask_next
    mov [rsi + 2052], ecx
    call ring_store
    lea rdi, [rip + answer]
    mov r8d, 16                     # first the header, then as much as it says
    call listen
    mov r8d, [rip + answer + 12]
    lea rdi, [rip + answer]
    mov r9, rdi
    add r9, r8
    call listen
    mov byte ptr [r9], 0
    call ring_store                 # there is room again
    lea rax, [rip + answer]
    ret

listen:                             # rdi: where to, r8d: how many bytes of the answer
    test r8d, r8d
    jz listen_done
    mov rsi, [rip + store]
    mov ecx, [rsi + 2056]           # rsp_cons
    cmp ecx, [rsi + 2060]           # rsp_prod
    jne listen_take
    push rdi
    call yield
    pop rdi
    jmp listen
listen_take:
    mov edx, ecx
    and edx, 1023
    mov al, [rsi + rdx + 1024]
    mov [rdi], al
    inc rdi
    inc ecx
    mov [rsi + 2056], ecx
    dec r8d
    jmp listen
listen_done:
    ret

# -- what we keep

.align 8
info: .quad 0
console: .quad 0
store: .quad 0
port: .long 0
poweroff: .long 0
doing: .quad 0
resume: .quad 0
stack: .quad 0
traps:                              # vector, lowest privilege, code segment, address; the last one is all zero
    .byte 6, 0
    .short 0xe033
    .long 0
    .quad undefined
    .byte 13, 0
    .short 0xe033
    .long 0
    .quad protection
    .byte 14, 0
    .short 0xe033
    .long 0
    .quad missing
    .quad 0, 0
digits: .ascii "0000000000000000"
newline: .asciz "\n"
alphabet: .ascii "0123456789abcdef"
invalid_opcode: .asciz "#UD"
general_protection: .asciz "#GP"
page_fault: .asciz "#PF"
all: .asciz "that was all\n"
.align 8
answer: .space 2048
{data}
.align 4096
page: .space 4096                   # a page that nothing else uses
