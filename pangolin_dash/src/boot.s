
| Vectors, cartridge header and start-up. Everything else is C.

    .section .header, "ax"
    .long   0x01000000              | stack pointer: top of RAM
    .long   _start
    .rept   28                      | vectors 2 to 29
    .long   _fault
    .endr
    .long   _vblank                 | vector 30: vertical blank
    .rept   33
    .long   _fault
    .endr

    .ascii  "SEGA MEGA DRIVE "                                  | 0x100
    .ascii  "(C)FREE 2026.NOV"                                  | 0x110
    .ascii  "PANGOLIN DASH                                   "  | 0x120
    .ascii  "PANGOLIN DASH                                   "  | 0x150
    .ascii  "GM 00000000-00"                                    | 0x180
    .word   0                                                   | 0x18E checksum (pangolin_dash.build)
    .ascii  "J               "                                  | 0x190
    .long   0x00000000, _rom_end - 1                            | 0x1A0
    .long   0x00FF0000, 0x00FFFFFF
    .ascii  "            "                                      | 0x1B0
    .ascii  "            "
    .ascii  "MIT LICENCE, FREE SOFTWARE              "          | 0x1C8
    .ascii  "JUE             "                                  | 0x1F0

    .text
    .global _start
_start:
    move.w  #0x2700, %sr
    move.b  0xA10001, %d0           | consoles with TMSS want the word before the VDP answers
    andi.b  #0x0F, %d0
    beq.s   1f
    move.l  #0x53454741, 0xA14000
1:  move.w  #0x0100, 0xA11100       | hold the Z80: this game has no sound program
    move.w  #0x0100, 0xA11200
    lea     _ram_start, %a0         | all of RAM below the stack becomes zero
    move.w  #0x3BFF, %d0
    moveq   #0, %d1
2:  move.l  %d1, (%a0)+
    dbra    %d0, 2b
    lea     0x01000000, %sp
    jsr     main
_fault:
    bra.s   _fault

_vblank:
    addq.w  #1, vblank_count
    rte

| void wait_vblank(void): sleep until the next vertical blank.
| Interrupts stay on while the game works, so vblank_count also counts frames that were missed.
| STOP costs the emulator almost nothing, a busy loop would halve its speed.
    .global wait_vblank
wait_vblank:
    move.w  vblank_count, %d0
1:  stop    #0x2500
    cmp.w   vblank_count, %d0
    beq.s   1b
    rts

| GCC may call these for structure copies.
    .global memcpy
memcpy:
    move.l  4(%sp), %a0
    move.l  8(%sp), %a1
    move.l  12(%sp), %d0
    bra.s   2f
1:  move.b  (%a1)+, (%a0)+
    subq.l  #1, %d0
2:  tst.l   %d0
    bne.s   1b
    move.l  4(%sp), %d0
    rts

    .global memset
memset:
    move.l  4(%sp), %a0
    move.l  8(%sp), %d1
    move.l  12(%sp), %d0
    bra.s   2f
1:  move.b  %d1, (%a0)+
    subq.l  #1, %d0
2:  tst.l   %d0
    bne.s   1b
    move.l  4(%sp), %d0
    rts
    .section .note.GNU-stack, ""
